//! `fallback`: who answers when the target cannot.

use gateway_layers::fallback::{self, FailureKind};
use http::StatusCode;

use crate::config::destination::Destination;
use crate::config::reader::Field;
use crate::config::target::Respond;
use crate::config::units::some_size;

/// Who answers when the target cannot.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fallback {
    /// `cluster`, `module` or `respond`. Required.
    pub to: FallbackTo,
    /// `on` (every kind), `statuses` (502, 503, 504), `any_method` (`false`), `replay_limit`
    /// (64 KiB).
    pub config: fallback::FallbackConfig,
}

/// Who answers instead.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FallbackTo {
    /// A cluster or a module.
    Destination(Destination),
    /// Always the same answer.
    Respond(Respond),
}

impl FallbackTo {
    /// The cluster or module, where it is one.
    pub fn destination(&self) -> Option<&Destination> {
        match self {
            Self::Destination(to) => Some(to),
            Self::Respond(_) => None,
        }
    }
}

impl Fallback {
    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ cluster = \"NAME\" }")?;
        let to = match table.only_one(&["cluster", "module", "respond"]) {
            Some(("respond", field)) => Respond::read(field).map(FallbackTo::Respond),
            Some(chosen) => Destination::read(chosen).map(FallbackTo::Destination),
            None => table
                .field()
                .note("leads nowhere, expected one of `cluster`, `module`, `respond`".to_owned()),
        };
        let mut config = fallback::FallbackConfig::default();
        let words: Vec<_> = FailureKind::ALL.iter().map(|kind| (kind.name(), *kind)).collect();
        table.set("on", &mut config.on, |field| {
            field.list("a list such as [\"connect\", \"timeout\"]", |field| field.choice(&words))
        });
        table.set("statuses", &mut config.statuses, |field| {
            field.list("a list of statuses such as [503]", |field| {
                StatusCode::from_u16(field.number(500, 599)?).ok()
            })
        });
        table.set("any_method", &mut config.any_method, |field| field.boolean());
        table.set("replay_limit", &mut config.replay_limit, |field| some_size(&field));
        table.finish();
        Some(Self { to: to?, config })
    }
}
