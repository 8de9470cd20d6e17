//! Claims as header fields for the upstream.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gateway_core::context::Claim;
use gateway_core::forwarded::is_owned;
use http::header::{HeaderName, HeaderValue};

use crate::auth::claims::find;
use super::fault::TokenFault;

/// Fields with a meaning of their own: framing, routing, credentials, the connection.
const RESERVED: [&str; 19] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Whether claims may be forwarded as the field `name`.
pub(super) fn is_free(name: &HeaderName) -> bool {
    let own = is_owned(name.as_str()) && !name.as_str().starts_with("x-gateway-");
    !own && !RESERVED.contains(&name.as_str())
}

/// The fields that `wanted` makes of the claims. A claim that is not there makes none.
pub(super) fn fields(
    wanted: &[(HeaderName, String)],
    claims: &BTreeMap<String, Claim>,
) -> Result<Vec<(HeaderName, HeaderValue)>, TokenFault> {
    let mut fields = Vec::with_capacity(wanted.len());
    for (name, claim) in wanted {
        let Some(claim) = find(claims, claim) else { continue };
        if let Some(text) = value(claim)? {
            let value = HeaderValue::from_bytes(text.as_bytes());
            fields.push((name.clone(), value.map_err(|_| TokenFault::ClaimUnsafe)?));
        }
    }
    Ok(fields)
}

fn value(claim: &Claim) -> Result<Option<String>, TokenFault> {
    let mut text = String::new();
    match claim {
        Claim::Null => return Ok(None),
        Claim::List(list) => {
            for (place, one) in list.iter().enumerate() {
                let start = text.len();
                if place > 0 {
                    text.push(',');
                }
                write_one(&mut text, one)?;
                // One that holds a comma would be two.
                let written = text.get(start + usize::from(place > 0)..).unwrap_or_default();
                if written.contains(',') {
                    return Err(TokenFault::ClaimUnsafe);
                }
            }
            if list.is_empty() {
                return Ok(None);
            }
        }
        one => write_one(&mut text, one)?,
    }
    Ok(Some(text))
}

fn write_one(text: &mut String, claim: &Claim) -> Result<(), TokenFault> {
    match claim {
        Claim::Text(value) => {
            // Blanks at the ends do not arrive, so that " admin" would become "admin".
            let bare = value.trim().len() == value.len() && !value.is_empty();
            if !bare || value.chars().any(char::is_control) {
                return Err(TokenFault::ClaimUnsafe);
            }
            text.push_str(value);
        }
        // Writing to a string does not fail.
        Claim::Boolean(value) => drop(write!(text, "{value}")),
        Claim::Integer(value) => drop(write!(text, "{value}")),
        Claim::Number(value) => drop(write!(text, "{value}")),
        _ => return Err(TokenFault::ClaimUnsafe),
    }
    Ok(())
}
