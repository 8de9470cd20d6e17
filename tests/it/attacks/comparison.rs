//! Secrets are compared in the same time wherever they differ. Nobody measures that here: the
//! clock of a busy machine would tell nothing. What is looked at is by whom they are compared.

use std::path::Path;

use crate::architecture::files;

/// Where a secret that somebody shows meets one that is known, and what compares the two: `subtle`,
/// or a library that does it in constant time (aws-lc for an HMAC, the hashes of passwords).
const PLACES: &[(&str, &[&str])] = &[
    ("auth/digest.rs", &["use subtle::{Choice, ConstantTimeEq};", "self.0.ct_eq(&other.0)"]),
    ("auth/api_key/keys.rs", &["record.digest.is_same(&digest)"]),
    // All of them, whichever it is.
    ("auth/service_token/authenticator.rs", &["conditional_assign(&place, one.digest.is_like("]),
    ("auth/signature/key.rs", &["hmac::verify(key, base, signature)"]),
    ("auth/jwt/key.rs", &["jsonwebtoken::crypto::verify("]),
    ("auth/basic/hash.rs", &["bcrypt::verify(password, hash)", ".verify_password("]),
    ("registry/secret.rs", &["self.0.ct_eq(&other.0)"]),
    ("registry/token.rs", &["known.fingerprint.is(&shown)"]),
];

/// What compares byte by byte and stops where two differ.
const WRONG: &[&str] = &[
    "digest ==",
    "digest !=",
    "== digest",
    "!= digest",
    ".digest ==",
    "reveal() ==",
    "reveal() !=",
    "== secret",
    "secret ==",
    "== token",
    "token ==",
    "== password",
    "password ==",
    "mac ==",
    "signature ==",
    "signature !=",
    "seal ==",
    ".eq(secret",
    ".eq(token",
    ".sha256 ==",
    "finish().as_ref() ==",
    "sign().as_ref() ==",
];

/// Comparisons that tell nobody anything, each with its reason.
const HARMLESS: &[(&str, &str, &str)] = &[
    (
        "auth/service_token/authenticator.rs",
        "other.digest == one.digest",
        "tokens of the document, when it is read",
    ),
    ("auth/signature/sign/layer.rs", "digest.field_name()", "the name of a field"),
    ("auth/signature/digest.rs", "as_ref() == *expected", "of a body, which its sender has"),
];

fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a source can be read");
    let end = text.find("\n#[cfg(test)]\nmod tests").unwrap_or(text.len());
    text[..end].to_owned()
}

fn layers() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway-layers/src")
}

#[test]
fn secrets_meet_only_in_what_takes_the_same_time() {
    for (file, needed) in PLACES {
        let code = code(&layers().join(file));
        for one in *needed {
            assert!(code.contains(one), "{file} compares no longer by `{one}`");
        }
    }
}

#[test]
fn nobody_else_compares_secrets() {
    let mut found = Vec::new();
    let folders = ["auth", "registry", "discovery"];
    for path in folders.iter().flat_map(|folder| files(&layers().join(folder), "rs")) {
        let name = path.strip_prefix(layers()).expect("below").display().to_string();
        if name.contains("/tests") || name.contains("property") {
            continue;
        }
        for line in code(&path).lines().filter(|line| !line.trim_start().starts_with("//")) {
            let wrong = WRONG.iter().any(|wrong| line.contains(wrong));
            let harmless =
                HARMLESS.iter().any(|(file, part, _)| name == *file && line.contains(part));
            if wrong && !harmless {
                found.push(format!("{name}: {}", line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn what_is_harmless_is_still_there() {
    for (file, part, why) in HARMLESS {
        assert!(code(&layers().join(file)).contains(part), "{file} has no `{part}` ({why})");
    }
}
