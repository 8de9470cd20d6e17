//! `public`, `identity`, and the keys that name providers: who may use a route.

use gateway_layers::auth::authorize::Requirements;

use crate::config::identity::IdentityKind;
use crate::config::reader::{Field, Table};

/// Who may use a route, as far as it goes by who is calling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Access {
    /// `public`: callers need not be known. Default: `false`; without `[identity]` in the document
    /// nobody is known anyway.
    pub public: bool,
    /// `jwt` and the other kinds: how callers are known, in the order of kinds. Default: not.
    pub identities: Vec<IdentityUse>,
    /// `identity`, `identity.mode`: whether credentials of one kind are enough. Required with
    /// several kinds.
    pub mode: Option<IdentityMode>,
    /// `identity.principal`: which kind says who is calling where all are required. Default: the
    /// first one.
    pub principal: Option<IdentityKind>,
}

/// How a route knows its callers by credentials of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IdentityUse {
    /// Which kind.
    pub kind: IdentityKind,
    /// Names of `[identity.KIND.NAME]`; of several issuers of tokens the token says which.
    pub providers: Vec<String>,
    /// `scopes` that callers must all have. Default: none.
    pub scopes: Vec<String>,
    /// `roles` of which callers must have one. Default: none.
    pub roles: Vec<String>,
}

/// Whether credentials of one kind are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentityMode {
    /// `any`: they are.
    Any,
    /// `all`: those of every kind are required. One kind says who is calling.
    All,
}

impl IdentityUse {
    /// By this provider.
    pub fn new(kind: IdentityKind, provider: impl Into<String>) -> Self {
        let providers = vec![provider.into()];
        Self { kind, providers, scopes: Vec::new(), roles: Vec::new() }
    }

    /// What is asked of whoever is known by credentials of this kind.
    pub(crate) fn requirements(&self) -> Option<Requirements> {
        let asks = !(self.scopes.is_empty() && self.roles.is_empty());
        let asked = Requirements::new();
        asks.then(|| asked.scopes_all(self.scopes.clone()).roles_any(self.roles.clone()))
    }

    fn read(kind: IdentityKind, field: Field<'_>) -> Option<Self> {
        let mut used = Self { providers: Vec::new(), ..Self::new(kind, "") };
        if !field.is_table() {
            used.providers = providers(kind, &field);
            return Some(used);
        }
        let mut table = field.table("{ provider = \"main\", scopes = [], roles = [] }")?;
        let expected = "the name of a provider";
        used.providers = table
            .require("provider", expected)
            .map(|field| providers(kind, &field))
            .unwrap_or_default();
        table.set("scopes", &mut used.scopes, |field| Some(texts(&field, "a scope")));
        table.set("roles", &mut used.roles, |field| Some(texts(&field, "a role")));
        table.finish();
        Some(used)
    }
}

impl Access {
    /// True where callers may come with one kind of credentials or another, so that what is asked
    /// of one kind is not asked of everybody.
    pub(crate) fn has_several_kinds(&self) -> bool {
        self.identities.len() > 1
    }

    /// The kinds in the order in which they are looked for: the one that says who is calling, then
    /// the others.
    pub(crate) fn in_order(&self) -> Vec<&IdentityUse> {
        let mut uses: Vec<_> = self.identities.iter().collect();
        uses.sort_by_key(|used| self.principal != Some(used.kind));
        uses
    }

    fn read_identity(&mut self, field: Field<'_>) -> Option<()> {
        let modes = [("any", IdentityMode::Any), ("all", IdentityMode::All)];
        if !field.is_table() {
            self.mode = field.choice(&modes);
            return Some(());
        }
        let mut table = field.table("{ mode = \"all\", principal = \"jwt\" }")?;
        self.mode = table.require("mode", "\"any\" or \"all\"")?.choice(&modes);
        table.set("principal", &mut self.principal, |field| {
            let kinds: Vec<_> = IdentityKind::ALL.iter().map(|kind| (kind.name(), *kind)).collect();
            field.choice(&kinds).map(Some)
        });
        table.finish();
        Some(())
    }

    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let mut access = Self::default();
        table.set("public", &mut access.public, |field| field.boolean());
        if let Some(field) = table.take("identity") {
            access.read_identity(field);
        }
        for kind in IdentityKind::ALL {
            let used = table.take(kind.name()).and_then(|field| IdentityUse::read(*kind, field));
            access.identities.extend(used);
        }
        access
    }
}

fn providers(kind: IdentityKind, field: &Field<'_>) -> Vec<String> {
    if field.is_empty_list() {
        field.reject::<()>("the name of a provider");
    }
    let names = texts(field, "the name of a provider");
    if names.len() > 1 && !kind.takes_several() {
        field.note::<()>(format!(
            "{} providers, expected one: these credentials do not say whose they are",
            names.len()
        ));
    }
    names
}

fn texts(field: &Field<'_>, expected: &str) -> Vec<String> {
    field.one_or_list(|field| field.name(expected))
}
