//! [`PasswordHash`]: what is kept of a password.

use std::fmt;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier};
use aws_lc_rs::rand;

/// bcrypt reads no more of a password, in bytes.
const BCRYPT_READS: usize = 72;

/// A hash with a higher cost takes seconds, for each new password that somebody tries.
const MAX_BCRYPT_COST: u32 = 15;

/// Memory that one verification may take, in KiB: 256 MiB.
const MAX_MEMORY: u32 = 256 * 1024;

/// Passes over it.
const MAX_PASSES: u32 = 32;

/// Lanes of it.
const MAX_LANES: u32 = 16;

/// The hash of a password: bcrypt (`$2a$`, `$2b$`, `$2y$`), or argon2id as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Bcrypt(Box<str>),
    Argon2(Box<phc::PasswordHash>),
}

/// Why a text is no hash that is taken. It repeats nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// It is none, or one that is too easy to guess from (`$apr1$`, `{SHA}`, plain text).
    #[error("no hash that is taken, expected bcrypt ($2y$, $2b$, $2a$) or argon2id")]
    Unknown,
    /// It is not whole.
    #[error("the hash is damaged")]
    Damaged,
    /// Verifying it takes too much.
    #[error(
        "the hash costs too much to verify, expected bcrypt up to {MAX_BCRYPT_COST}, or argon2id \
         up to m={MAX_MEMORY}, t={MAX_PASSES}, p={MAX_LANES}"
    )]
    Cost,
}

impl PasswordHash {
    /// The hash that `text` is.
    ///
    /// # Errors
    ///
    /// When it is none, of another kind, or too costly.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        if ["$2a$", "$2b$", "$2y$"].iter().any(|start| text.starts_with(start)) {
            let parts: bcrypt::HashParts = text.parse().map_err(|_| HashError::Damaged)?;
            if parts.get_cost() > MAX_BCRYPT_COST {
                return Err(HashError::Cost);
            }
            return Ok(Self(Kind::Bcrypt(text.into())));
        }
        if !text.starts_with("$argon2id$") {
            return Err(HashError::Unknown);
        }
        let hash = phc::PasswordHash::new(text).map_err(|_| HashError::Damaged)?;
        let params = Params::try_from(&hash).map_err(|_| HashError::Damaged)?;
        if hash.salt.is_none() || hash.hash.is_none() {
            return Err(HashError::Damaged);
        }
        let dear = params.m_cost() > MAX_MEMORY
            || params.t_cost() > MAX_PASSES
            || params.p_cost() > MAX_LANES;
        if dear { Err(HashError::Cost) } else { Ok(Self(Kind::Argon2(Box::new(hash)))) }
    }

    /// The hash of `password`, as text: argon2id with 19 MiB, two passes and one lane. Takes its
    /// time, and blocks. `None` when the system has no randomness to give.
    pub fn make(password: &str) -> Option<String> {
        let mut salt = [0; 16];
        rand::fill(&mut salt).ok()?;
        let argon2 = Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, Params::DEFAULT);
        let hash = argon2.hash_password_with_salt(password.as_bytes(), &salt).ok()?;
        Some(hash.to_string())
    }

    /// Whether it is the hash of `password`. Takes its time, and blocks.
    pub(super) fn is_of(&self, password: &str) -> bool {
        match &self.0 {
            Kind::Bcrypt(hash) => {
                // What is behind its end must not be left out without a word; and the time is
                // the same.
                let same = bcrypt::verify(password, hash).unwrap_or(false);
                same && password.len() <= BCRYPT_READS
            }
            Kind::Argon2(hash) => {
                Argon2::default().verify_password(password.as_bytes(), &**hash).is_ok()
            }
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Bcrypt(_) => "PasswordHash(bcrypt)",
            Kind::Argon2(_) => "PasswordHash(argon2id)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_other_programs_are_verified() {
        // `crypt("correct horse", "$2y$05$abcdefghijklmnopqrstuu")` of libxcrypt.
        let crypt = "$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2";
        let hash = PasswordHash::parse(crypt).unwrap();
        assert!(hash.is_of("correct horse") && !hash.is_of("correct house"));
        // `printf %s password | argon2 somesalt -id -t 2 -m 16 -p 4 -l 24 -e` of the reference
        // implementation's tests.
        let reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$\
                         CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash = PasswordHash::parse(reference).unwrap();
        assert!(hash.is_of("password") && !hash.is_of("passwore"));
    }

    #[test]
    fn hashes_made_here_are_verified() {
        let text = PasswordHash::make("päßword").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let hash = PasswordHash::parse(&text).unwrap();
        assert!(hash.is_of("päßword") && !hash.is_of("pässword") && !hash.is_of(""));
        assert_ne!(PasswordHash::make("päßword").unwrap(), text);
        assert_eq!(format!("{hash:?}"), "PasswordHash(argon2id)");
    }

    #[test]
    fn what_bcrypt_does_not_read_is_not_left_out() {
        let long = "x".repeat(72);
        let hash = PasswordHash::parse(&bcrypt::hash(&long, 4).unwrap()).unwrap();
        assert!(hash.is_of(&long));
        assert!(!hash.is_of(&format!("{long}y")));
    }

    #[test]
    fn what_is_no_hash_is_rejected_and_not_repeated() {
        let cheap = bcrypt::hash("x", 4).unwrap();
        let dear = cheap.replacen("$04$", "$16$", 1);
        assert_eq!(PasswordHash::parse(&dear), Err(HashError::Cost));
        let large = "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$\
                     CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert_eq!(PasswordHash::parse(large), Err(HashError::Cost));
        for unknown in [
            "",
            "secret",
            "$apr1$x$y",
            "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=",
            "$1$a$b",
            "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ] {
            assert_eq!(PasswordHash::parse(unknown), Err(HashError::Unknown), "{unknown}");
        }
        for damaged in [&cheap[..59], "$2y$", "$argon2id$", "$argon2id$v=19$m=65536,t=2,p=1"] {
            assert_eq!(PasswordHash::parse(damaged), Err(HashError::Damaged), "{damaged}");
        }
    }
}
