//! A header is found whole or asked for byte by byte, and nothing behind it is touched.

#![no_main]

use gateway_core::server::proxy_protocol::{Parsed, V1_HEADER_LIMIT, V2_HEADER_LIMIT, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    match parse(input) {
        Ok(Parsed::Header { consumed, source, destination }) => {
            assert!(consumed <= input.len() && consumed <= V2_HEADER_LIMIT);
            assert_eq!(source.is_some(), destination.is_some());
            assert_eq!(parse(&input[..consumed]), parse(input), "bytes behind it were looked at");
            for end in 0..consumed {
                assert_eq!(parse(&input[..end]), Ok(Parsed::NeedMore), "cut at {end}");
            }
        }
        Ok(Parsed::NeedMore) => {
            assert!(input.len() < V1_HEADER_LIMIT.max(V2_HEADER_LIMIT), "it asks without end");
        }
        Err(_) => {}
    }
});
