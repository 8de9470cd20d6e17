//! A normal path is a fixed point, and has nothing in it that could be read in two ways.

#![no_main]

use gateway_core::path::{EncodedSlashes, PathOptions, normalize};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &str| {
    for slashes in [EncodedSlashes::Reject, EncodedSlashes::Keep] {
        for merge in [false, true] {
            let options = PathOptions::new().encoded_slashes(slashes).merge_slashes(merge);
            let Ok(once) = normalize(path, &options) else { continue };
            let twice = normalize(&once, &options);
            assert_eq!(twice.as_deref(), Ok(&*once), "not a fixed point");
            assert!(once.starts_with('/'));
            assert!(once.bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(!once.split('/').any(|segment| matches!(segment, "." | "..")));
            assert!(!merge || !once.contains("//"));
            assert!(slashes == EncodedSlashes::Keep || !once.contains("%2F"));
        }
    }
});
