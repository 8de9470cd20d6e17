//! [`PathTemplate`]: where the service is asked, with what is known of the caller in it.

use gateway_core::context::Principal;
use http::Uri;

use crate::http_client::encoded;

/// A path that nobody can be asked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PathInvalid(pub(super) &'static str);

/// A path and query with places for what is known of the caller.
#[derive(Clone, Debug)]
pub(super) struct PathTemplate {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Subject,
    Tenant,
}

/// Why there is no path for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPath {
    /// Nobody is known.
    Nobody,
    /// Whoever is known does not have what it needs, or has something that leads elsewhere.
    Unfit,
}

impl PathTemplate {
    pub(super) fn parse(text: &str) -> Result<Self, PathInvalid> {
        if !text.starts_with('/') {
            return Err(PathInvalid("the path does not begin with `/`"));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) =
                after.split_once('}').ok_or(PathInvalid("the path has a `{` without its `}`"))?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(match name {
                "subject" => Piece::Subject,
                "tenant" => Piece::Tenant,
                _ => return Err(PathInvalid("the path names neither {subject} nor {tenant}")),
            });
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        let whole: String = pieces.iter().map(|piece| piece.text().unwrap_or("x")).collect();
        if !whole.is_ascii() || whole.parse::<Uri>().is_err() {
            return Err(PathInvalid("the path has characters that none can have"));
        }
        Ok(Self { pieces })
    }

    /// The path for a caller.
    pub(super) fn fill(&self, principal: Option<&Principal>) -> Result<Uri, NoPath> {
        let mut path = String::new();
        for piece in &self.pieces {
            let known = match piece {
                Piece::Text(text) => {
                    path.push_str(text);
                    continue;
                }
                Piece::Subject => principal.map(|principal| Some(&principal.subject)),
                Piece::Tenant => principal.map(|principal| principal.tenant.as_ref()),
            };
            let known = known.ok_or(NoPath::Nobody)?.ok_or(NoPath::Unfit)?;
            // Two dots are a step up, however they are written.
            if known.is_empty() || known.bytes().all(|byte| byte == b'.') {
                return Err(NoPath::Unfit);
            }
            path.push_str(&encoded(known));
        }
        path.parse().map_err(|_| NoPath::Unfit)
    }
}

impl Piece {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, subject: &str) -> Result<String, NoPath> {
        let mut principal = Principal::new(subject, "jwt");
        principal.tenant = Some("north".into());
        PathTemplate::parse(template).unwrap().fill(Some(&principal)).map(|uri| uri.to_string())
    }

    #[test]
    fn what_is_known_of_the_caller_stays_in_its_place() {
        assert_eq!(filled("/check?a=b", "ada").unwrap(), "/check?a=b");
        assert_eq!(filled("/users/{subject}/context", "7").unwrap(), "/users/7/context");
        assert_eq!(filled("/{tenant}/{subject}", "a/../b?c").unwrap(), "/north/a%2F..%2Fb%3Fc");
        for leads_elsewhere in ["", ".", ".."] {
            assert_eq!(filled("/users/{subject}/context", leads_elsewhere), Err(NoPath::Unfit));
        }
        let template = PathTemplate::parse("/users/{subject}").unwrap();
        assert_eq!(template.fill(None), Err(NoPath::Nobody));
        let principal = Principal::new("ada", "jwt");
        let template = PathTemplate::parse("/{tenant}").unwrap();
        assert_eq!(template.fill(Some(&principal)), Err(NoPath::Unfit));
    }

    #[test]
    fn paths_that_cannot_be_asked_are_rejected() {
        for path in ["", "check", "http://a/b", "/a b", "/{", "/{name}", "/{subject", "/é"] {
            assert!(PathTemplate::parse(path).is_err(), "{path}");
        }
    }
}
