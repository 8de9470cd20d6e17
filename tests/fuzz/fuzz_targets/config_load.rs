//! Whatever a document and the environment say: it is read, or every problem is said in words.
//! What was read fits together without them.
//!
//! The input is a document, then, behind a NUL, lines of `NAME=value`.

#![no_main]

use gateway::config::{Reading, Source};
use gateway_core::Modules;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (document, variables) = input.split_once('\0').unwrap_or((input, ""));
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let variables =
        variables.map(|(name, value)| (format!("GATEWAY__{name}").into(), value.into()));
    let modules = Modules::new();
    match Source::text("fuzz.toml", document).variables(variables).read(&modules) {
        Ok(reading) => {
            let again = Reading::of(reading.document, &modules);
            assert!(again.is_ok(), "what was read does not fit together: {again:?}");
        }
        Err(problems) => {
            assert!(problems.iter().count() > 0, "rejected without a reason");
            assert!(!problems.to_string().is_empty());
        }
    }
});
