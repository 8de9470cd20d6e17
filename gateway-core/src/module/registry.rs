//! Modules by name, for documents that name their targets.

use std::collections::BTreeMap;

use super::{Module, ModuleService};

/// In-process modules by name.
#[derive(Clone, Debug, Default)]
pub struct Modules {
    by_name: BTreeMap<String, Module>,
}

impl Modules {
    /// No modules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `module` under `name`; a module of that name is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, module: impl ModuleService) -> Self {
        self.by_name.insert(name.into(), Module::new(module));
        self
    }

    /// The module called `name`.
    pub fn find(&self, name: &str) -> Option<&Module> {
        self.by_name.get(name)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}
