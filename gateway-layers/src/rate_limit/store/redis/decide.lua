-- KEYS: one for each limit. ARGV[1]: 1 to charge, 0 to look. Then for each limit six:
-- algorithm, limit, per in microseconds, burst, cost, binding (1 or 0).
-- Answers with four numbers for each limit: fits, remaining, microseconds until more (-1: there is
-- all), microseconds until it fits (-1: never).
local STEPS = 64
local time = redis.call('TIME')
local second = tonumber(time[1])
local now = second * 1000000 + tonumber(time[2])

local function number(value) return string.format('%.17g', value) end

local function bucket(stored, rule)
  local level, last = 0, now
  if stored then
    local one, two = string.match(stored, '^(%S+) (%S+)$')
    -- A clock that is set back does not refill.
    last = math.max(now, tonumber(two) or now)
    level = math.max(0, (tonumber(one) or 0) - (last - tonumber(two or now)) * rule.limit / rule.per)
  end
  local state = { used = level, capacity = rule.burst }
  function state.wait() return (level + rule.cost - rule.burst) * rule.per / rule.limit end
  function state.left()
    local remaining = math.floor(rule.burst - level)
    local more = -1
    if level > 0 then more = (level - (rule.burst - remaining - 1)) * rule.per / rule.limit end
    return math.max(0, remaining), more
  end
  function state.take()
    level = level + rule.cost
    return number(level) .. ' ' .. number(last), level * rule.per / rule.limit
  end
  return state
end

local function window(stored, rule)
  local hits, used, newest = {}, 0, now
  for at, count in string.gmatch(stored or '', '(%d+):(%d+)') do
    at, count = tonumber(at), tonumber(count)
    if at + rule.per > now then
      hits[#hits + 1] = { at, count }
      used = used + count
      newest = math.max(newest, at)
    end
  end
  local state = { used = used, capacity = rule.limit }
  function state.wait()
    local over = used + rule.cost - rule.limit
    for _, hit in ipairs(hits) do
      over = over - hit[2]
      if over <= 0 then return hit[1] + rule.per - now end
    end
    return rule.per
  end
  function state.left()
    local more = -1
    if hits[1] then more = hits[1][1] + rule.per - now end
    return math.max(0, rule.limit - used), more
  end
  function state.take()
    used = used + rule.cost
    local step = math.max(1, math.floor(rule.per / STEPS))
    local last = hits[#hits]
    local together = last and last[1] == newest
    if last and rule.limit > STEPS then
      together = math.floor(last[1] / step) == math.floor(newest / step)
    end
    if together then
      last[1], last[2] = newest, last[2] + rule.cost
    else
      hits[#hits + 1] = { newest, rule.cost }
    end
    local texts = {}
    for i, hit in ipairs(hits) do texts[i] = string.format('%.0f:%.0f', hit[1], hit[2]) end
    return table.concat(texts, ' '), newest + rule.per - now
  end
  return state
end

-- Years are counted from March, so that the odd day stands at their end.
local function month_of(day)
  local shifted = day + 719468
  local era = math.floor(shifted / 146097)
  local of_era = shifted - era * 146097
  local year = math.floor((of_era - math.floor(of_era / 1460) + math.floor(of_era / 36524)
    - math.floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local from_march = math.floor((5 * of_year + 2) / 153)
  local month = from_march < 10 and from_march + 3 or from_march - 9
  year = year + era * 400
  if month <= 2 then year = year + 1 end
  return year * 12 + month - 1
end

local function calendar(stored, rule, monthly)
  local day = math.floor(second / 86400)
  local period, last_day = day, day
  if monthly then
    period = month_of(day)
    while month_of(last_day + 1) == period do last_day = last_day + 1 end
  end
  local ends = (last_day + 1) * 86400000000 - now
  local used = 0
  if stored then
    local one, two = string.match(stored, '^(%d+) (%d+)$')
    if one and tonumber(one) >= period then period, used = tonumber(one), tonumber(two) end
  end
  local state = { used = used, capacity = rule.limit }
  function state.wait() return ends end
  function state.left()
    return math.max(0, rule.limit - used), used > 0 and ends or -1
  end
  function state.take()
    used = used + rule.cost
    return string.format('%.0f %.0f', period, used), ends
  end
  return state
end

local states, admitted = {}, true
for i, key in ipairs(KEYS) do
  local at = (i - 1) * 6 + 2
  local rule = {
    limit = tonumber(ARGV[at + 1]), per = tonumber(ARGV[at + 2]), burst = tonumber(ARGV[at + 3]),
    cost = tonumber(ARGV[at + 4]),
  }
  local algorithm, stored = ARGV[at], redis.call('GET', key)
  local state
  if algorithm == 'token_bucket' then
    state = bucket(stored, rule)
  elseif algorithm == 'sliding_window' then
    state = window(stored, rule)
  else
    state = calendar(stored, rule, algorithm == 'month')
  end
  state.cost = rule.cost
  state.fits = rule.cost == 0 or state.used + rule.cost <= state.capacity
  state.after = -1
  if not state.fits and rule.cost <= state.capacity then state.after = state.wait() end
  if not state.fits and ARGV[at + 5] == '1' then admitted = false end
  states[i] = state
end

local answer = {}
for i, state in ipairs(states) do
  if admitted and ARGV[1] == '1' and state.fits and state.cost > 0 then
    local value, lasts = state.take()
    -- Some time longer, so that rounding never forgets anything early.
    redis.call('SET', KEYS[i], value, 'PX', string.format('%.0f', math.ceil(lasts / 1000) + 1000))
  end
  local remaining, more = state.left()
  answer[#answer + 1] = state.fits and 1 or 0
  answer[#answer + 1] = remaining
  answer[#answer + 1] = math.ceil(more)
  answer[#answer + 1] = math.ceil(state.after)
end
return answer
