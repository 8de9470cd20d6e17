//! `[[routes]]`: which requests go where, and under which policy.

use gateway_core::route::{Metadata, Rewrite, RouteMatch};

use super::matching;
use super::policy::Policy;
use super::reader::Field;
use super::target::Target;

/// Which requests go where, and under which policy.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Route {
    /// `id`: its name, unique in the document. Required.
    pub id: String,
    /// `priority`: higher wins before anything else. Default: 0.
    pub priority: i32,
    /// `enabled`. Default: `true`.
    pub enabled: bool,
    /// `metadata`: texts by name, for modules and logs.
    pub metadata: Metadata,
    /// `listener`: one name or a list. Default: every listener.
    pub listeners: Vec<String>,
    /// `match`: one table or a list of them, any of which takes a request. Required.
    pub matches: Vec<RouteMatch>,
    /// `target`: one of `cluster`, `module`, `split`, `registry`, `capability`, `redirect` and
    /// `respond`. Required.
    pub target: Target,
    /// `rewrite`: `prefix` or `path`, and `host`. Default: none.
    pub rewrite: Option<Rewrite>,
    /// `policy`.
    pub policy: Policy,
}

impl Route {
    /// A route with every default.
    pub fn new(id: impl Into<String>, matches: Vec<RouteMatch>, target: Target) -> Self {
        Self {
            id: id.into(),
            priority: 0,
            enabled: true,
            metadata: Metadata::default(),
            listeners: Vec::new(),
            matches,
            target,
            rewrite: None,
            policy: Policy::default(),
        }
    }

    /// The names of the clusters that its target and policy lead to.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        self.target.clusters().chain(self.policy.clusters())
    }

    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let example = "{ id = \"all\", match = { prefix = \"/\" }, target = { cluster = \"a\" } }";
        let mut table = field.table(example)?;
        // Without a name the route is called by its place in the document.
        let id = match table.take("id") {
            Some(field) => field.name("a name"),
            None => Some(table.path().to_owned()),
        };
        let matches = table.require("match", "a table such as { prefix = \"/\" }").map(|field| {
            if field.is_empty_list() {
                field.reject::<()>("at least one match");
            }
            field.one_or_list(matching::read).into_iter().flatten().collect()
        });
        let target = table
            .require("target", "a table such as { cluster = \"NAME\" }")
            .and_then(Target::read);
        let known = id.is_some() && target.is_some();
        let mut route = Self::new(
            id.unwrap_or_default(),
            matches.unwrap_or_default(),
            target.unwrap_or(Target::Module(String::new())),
        );
        table.set("priority", &mut route.priority, |field| {
            field.number(i32::MIN.into(), i32::MAX.into())
        });
        table.set("enabled", &mut route.enabled, |field| field.boolean());
        table.set("metadata", &mut route.metadata, |field| Some(metadata(&field)));
        if let Some(listener) = table.take("listener") {
            if listener.is_empty_list() {
                listener.reject::<()>("at least one name; leave it out for every listener");
            }
            route.listeners = listener.one_or_list(|field| field.name("the name of a listener"));
        }
        table.set("rewrite", &mut route.rewrite, |field| rewrite(field).map(Some));
        table.set("policy", &mut route.policy, Policy::read);
        table.finish();
        known.then_some(route)
    }
}

fn metadata(field: &Field<'_>) -> Metadata {
    let entries = field.entries("a table such as { team = \"shop\" }").into_iter();
    entries.filter_map(|(name, field)| Some((name, field.text("text")?))).collect()
}

fn rewrite(field: Field<'_>) -> Option<Rewrite> {
    let mut table = field.table("{ prefix = \"/v2\" }")?;
    let mut rewrite = Rewrite::new();
    if let Some((key, field)) = table.only_one(&["prefix", "path"]) {
        let text = field.text("a path such as \"/v2\"").unwrap_or("/");
        let base = rewrite.clone();
        let changed = if key == "prefix" { base.prefix(text) } else { base.path(text) };
        match changed {
            Ok(changed) => rewrite = changed,
            Err(error) => {
                field.reject::<()>(error.expected());
            }
        }
    }
    if let Some(field) = table.take("host") {
        let text = field.text("a host name with an optional port").unwrap_or("a");
        match rewrite.clone().host(text) {
            Ok(changed) => rewrite = changed,
            Err(error) => {
                field.reject::<()>(error.expected());
            }
        }
    }
    table.finish();
    Some(rewrite)
}
