//! `gateway reasons`: lists every answer that the gateway makes itself.

use gateway_core::Reason;
use serde_json::json;

use super::Failure;
use crate::args::Reasons;
use crate::terminal::say;

pub(crate) fn reasons(arguments: &Reasons) -> Result<(), Failure> {
    if arguments.json {
        say(&serde_json::to_string_pretty(&catalogue())?);
    } else {
        table().iter().for_each(|line| say(line));
    }
    Ok(())
}

fn catalogue() -> serde_json::Value {
    let reasons = Reason::ALL.iter().map(|reason| {
        json!({
            "code": reason.code(),
            "status": reason.status().as_u16(),
            "grpc_status": reason.grpc_status().code(),
            "proxy_status": reason.proxy_error(),
            "title": reason.title(),
            "explanation": reason.explanation().trim(),
        })
    });
    reasons.collect()
}

fn table() -> Vec<String> {
    let head = ["CODE", "HTTP", "GRPC", "PROXY-STATUS", "EXPLANATION"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(Reason::ALL.iter().map(|reason| {
        [
            reason.code().to_owned(),
            reason.status().as_u16().to_string(),
            format!("{} {:?}", reason.grpc_status().code(), reason.grpc_status()),
            reason.proxy_error().to_owned(),
            reason.explanation().trim().to_owned(),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |[code, status, grpc, proxy, explanation]: &[String; 5]| {
        let [first, second, third, fourth] = widths;
        format!("{code:first$}  {status:second$}  {grpc:third$}  {proxy:fourth$}  {explanation}")
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_every_reason() {
        assert_eq!(catalogue().as_array().map(Vec::len), Some(Reason::ALL.len()));
        assert_eq!(table().len(), Reason::ALL.len() + 1);
        assert!(table().iter().any(|line| line.starts_with("route_timeout ")));
    }
}
