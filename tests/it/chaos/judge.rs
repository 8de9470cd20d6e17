//! What is allowed.

use gateway_tests::{End, Reply, Seen};

use super::faults::{BUSY, Fault, Kind, LEAK, Mended, Told, body};
use super::policies::Policy;

/// A request, what became of it, and who saw it.
pub(super) struct Case<'a> {
    pub(super) fault: &'a Fault,
    pub(super) policy: Policy,
    pub(super) all: bool,
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) reply: &'a Reply,
    pub(super) fine: Vec<Seen>,
    pub(super) bad: Vec<Seen>,
    pub(super) spare: Vec<Seen>,
}

/// Judges one request.
pub(super) fn judge(case: &Case<'_>) -> Result<(), String> {
    is_no_invention(case)?;
    may_be_told(case)?;
    is_not_sent_too_often(case)?;
    carries_its_own_body(case)
}

/// Nobody sees bytes that are of no answer, or of somebody else's.
fn is_no_invention(case: &Case<'_>) -> Result<(), String> {
    let reply = case.reply;
    let leaks =
        reply.text().contains(LEAK) || reply.headers.iter().any(|(_, value)| value.contains(LEAK));
    if leaks {
        return Err(format!("leaked: {}", shown(reply)));
    }
    if reply.status == 200 && !body(case.target).starts_with(&reply.body) {
        return Err(format!("not its own: {}", shown(reply)));
    }
    Ok(())
}

/// The outcome is one that the fault or the policy explains.
fn may_be_told(case: &Case<'_>) -> Result<(), String> {
    let reply = case.reply;
    let whole = reply.status == 200 && reply.is_complete() && reply.body == body(case.target);
    let stands_in = reply.header("x-gateway-fallback").is_some();
    let could_be_whole = !case.all || case.fault.told.contains(&Told::Whole) || stands_in;
    if whole && could_be_whole && stands_in != case.spare.is_empty() {
        return Ok(());
    }
    let rejection = reply.reason().filter(|_| reply.is_rejection(&[503]));
    if rejection.is_some_and(|reason| case.policy.rejections().contains(&&*reason)) {
        // Nothing of it was sent.
        let unseen = case.fine.is_empty() && case.bad.is_empty();
        return if unseen { Ok(()) } else { Err(format!("rejected after all: {}", shown(reply))) };
    }
    if is_helped(case) || !explained(case) {
        return Err(format!("nothing explains {}", shown(reply)));
    }
    let told = case.fault.told.iter().any(|told| match told {
        Told::BadGateway => reply.is_rejection(&[502, 503]),
        Told::Late => reply.is_rejection(&[504]),
        Told::Cut => {
            let partial = reply.status == 200 && !reply.is_complete();
            // A stream that is reset takes with it what had not left yet: the head, too.
            let reset = matches!(&reply.end, End::Broken(why) if why.contains("stream error"));
            partial || (reply.status == 0 && reset) || reply.is_rejection(&[502])
        }
        Told::Whole => false,
        Told::Busy => reply.status == 503 && reply.text() == BUSY && reply.is_complete(),
    });
    if told { Ok(()) } else { Err(format!("not one of {:?}: {}", case.fault.told, shown(reply))) }
}

/// Whether the request was where the fault is, as far as that can be known.
fn explained(case: &Case<'_>) -> bool {
    match case.fault.kind {
        _ if case.all => true,
        // Costs nobody an answer: there are two more.
        Kind::Rejects => false,
        Kind::OnAccept(_) => true,
        Kind::Answers(_) | Kind::WhenUsed(_) => !case.bad.is_empty(),
    }
}

/// Whether somebody else has to give the answer, so that nothing but that is allowed.
fn is_helped(case: &Case<'_>) -> bool {
    let by_another = match (case.method, case.fault.mended, case.policy) {
        ("POST", ..) | (_, Mended::Never, _) => false,
        (_, Mended::Cluster, _) => true,
        (_, Mended::Retry, policy) => matches!(policy, Policy::Retry | Policy::RetryTry),
        (method, Mended::Hurry, Policy::Hedge) => method == "GET",
        (_, Mended::Hurry, policy) => policy == Policy::RetryTry,
    };
    let stands_in = case.policy == Policy::Fallback
        && case.method != "POST"
        && matches!(case.fault.told, [Told::BadGateway] | [Told::Busy]);
    stands_in || (by_another && !case.all)
}

fn is_not_sent_too_often(case: &Case<'_>) -> Result<(), String> {
    let sent = case.fine.len() + case.bad.len() + case.spare.len();
    let most = match case.method {
        "POST" => 1,
        _ => case.policy.sends(case.fault.dies_when_used()),
    };
    if sent > most {
        return Err(format!("sent {sent} times, {most} allowed: {}", shown(case.reply)));
    }
    // What hung may have been taken: nobody else gets it.
    let taken = case.all && matches!(case.fault.told, [Told::Late]);
    if case.method == "POST" && taken && !case.spare.is_empty() {
        return Err("a POST that may have been taken went elsewhere".to_owned());
    }
    Ok(())
}

fn carries_its_own_body(case: &Case<'_>) -> Result<(), String> {
    let all = case.fine.iter().chain(&case.bad).chain(&case.spare);
    let mut wrong = all.filter(|seen| !seen.exact || seen.method != case.method);
    wrong.next().map_or(Ok(()), |seen| Err(format!("a wrong request was sent: {seen:?}")))
}

fn shown(reply: &Reply) -> String {
    let text: String = reply.text().chars().take(120).collect();
    format!(
        "{} {:?} by {:?}, {} bytes {text:?}",
        reply.status,
        reply.end,
        reply.header("x-gateway-origin"),
        reply.body.len()
    )
}
