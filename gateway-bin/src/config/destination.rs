//! Where requests of one kind or another go: a cluster of the document, or a module.

use super::reader::{Field, Table};

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destination {
    /// `cluster = "NAME"`: a cluster of the document.
    Cluster(String),
    /// `module = "NAME"`: a module that the program offers.
    Module(String),
}

impl Destination {
    /// The cluster's name, where it is one.
    pub fn cluster(&self) -> Option<&str> {
        match self {
            Self::Cluster(name) => Some(name),
            Self::Module(_) => None,
        }
    }

    /// Takes `cluster` or `module` out of `table`.
    pub(super) fn take(table: &mut Table<'_>) -> Option<Self> {
        match table.only_one(&["cluster", "module"]) {
            Some(chosen) => Self::read(chosen),
            None => {
                table.field().note("leads nowhere, expected one of `cluster`, `module`".to_owned())
            }
        }
    }

    pub(super) fn read((key, field): (&str, Field<'_>)) -> Option<Self> {
        match key {
            "cluster" => field.name("the name of a cluster").map(Self::Cluster),
            _ => field.name("the name of a module").map(Self::Module),
        }
    }
}
