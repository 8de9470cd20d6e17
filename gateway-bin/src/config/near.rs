//! What somebody may have meant.

/// A longer text, in bytes, is no slip of any name.
const LONGEST: usize = 64;

/// The name among `known` that `found` is nearest to, where it is near enough to be meant.
pub(super) fn near_miss<'k>(
    found: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    if found.len() > LONGEST {
        return None;
    }
    let allowed = (found.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(found, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Letters to insert, delete, change or swap with their neighbour to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.to_lowercase().chars().collect();
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let width = other.len() + 1;
    let mut rows = vec![0; (one.len() + 1) * width];
    for row in 0..=one.len() {
        for column in 0..width {
            rows[row * width + column] = if row == 0 || column == 0 {
                row + column
            } else {
                let changed = usize::from(one[row - 1] != other[column - 1]);
                let mut least = (rows[(row - 1) * width + column] + 1)
                    .min(rows[row * width + column - 1] + 1)
                    .min(rows[(row - 1) * width + column - 1] + changed);
                if row > 1
                    && column > 1
                    && one[row - 1] == other[column - 2]
                    && one[row - 2] == other[column - 1]
                {
                    least = least.min(rows[(row - 2) * width + column - 2] + 1);
                }
                least
            };
        }
    }
    rows.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised() {
        let known = ["address", "name", "protocol", "path"];
        for (found, meant) in [
            ("adress", Some("address")),
            ("addresss", Some("address")),
            ("protcool", Some("protocol")),
            ("Name", Some("name")),
            ("pth", Some("path")),
            ("tls", None),
            ("", None),
        ] {
            assert_eq!(near_miss(found, known), meant, "{found}");
        }
    }
}
