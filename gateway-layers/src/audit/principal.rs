//! [`AuditPrincipal`]: what events say of who was calling.

use aws_lc_rs::hmac;
use gateway_core::context::Principal;

use super::event::{AuditedPrincipal, MAX_NAME, cut};
use crate::secret::Secret;

/// What events say of who was calling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditPrincipal {
    /// The subject and the tenant as they are.
    #[default]
    Plain,
    /// In their place their HMAC-SHA256 under this key, in hexadecimal: who reads events can tell
    /// that two are about the same caller, and without the key neither who that is, nor by trying
    /// every name there is.
    Hashed(Secret),
    /// Nothing.
    Off,
}

/// The same, ready for use.
pub(super) enum Shown {
    Plain,
    Hashed(Box<hmac::Key>),
    Off,
}

impl Shown {
    pub(super) fn new(wanted: &AuditPrincipal) -> Self {
        match wanted {
            AuditPrincipal::Plain => Self::Plain,
            AuditPrincipal::Hashed(key) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, key.reveal().as_bytes());
                Self::Hashed(Box::new(key))
            }
            AuditPrincipal::Off => Self::Off,
        }
    }

    pub(super) fn of(&self, principal: &Principal) -> Option<AuditedPrincipal> {
        let tenant = principal.tenant.as_deref();
        let (subject, tenant) = match self {
            Self::Plain => {
                (cut(&principal.subject, MAX_NAME), tenant.map(|tenant| cut(tenant, MAX_NAME)))
            }
            Self::Hashed(key) => {
                // A tenant and a subject of one name are not to be told to be the same.
                (
                    hashed(key, "subject", &principal.subject),
                    tenant.map(|one| hashed(key, "tenant", one)),
                )
            }
            Self::Off => return None,
        };
        Some(AuditedPrincipal { subject, method: principal.method, tenant })
    }
}

fn hashed(key: &hmac::Key, what: &str, name: &str) -> String {
    let mut context = hmac::Context::with_key(key);
    for part in [what, "\n", name] {
        context.update(part.as_bytes());
    }
    context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal() -> Principal {
        let mut principal = Principal::new("ada", "jwt");
        principal.tenant = Some("ada".into());
        principal
    }

    #[test]
    fn a_hashed_caller_is_the_same_under_the_same_key_only() {
        let shown =
            |key: &str| Shown::new(&AuditPrincipal::Hashed(key.into())).of(&principal()).unwrap();
        let (one, again, other) = (shown("a"), shown("a"), shown("b"));
        assert_eq!(one, again);
        assert_ne!(one.subject, other.subject);
        assert_ne!(Some(&one.subject), one.tenant.as_ref());
        assert_eq!((one.subject.len(), one.method), (64, "jwt"));
        assert!(!format!("{one:?}").contains("ada"));
    }

    #[test]
    fn a_caller_is_as_plain_as_it_is_wanted() {
        let plain = Shown::new(&AuditPrincipal::Plain).of(&principal()).unwrap();
        assert_eq!((&*plain.subject, plain.tenant.as_deref()), ("ada", Some("ada")));
        assert_eq!(Shown::new(&AuditPrincipal::Off).of(&principal()), None);
        let key = format!("{:?}", AuditPrincipal::Hashed("planted".into()));
        assert!(!key.contains("planted"), "{key}");
    }
}
