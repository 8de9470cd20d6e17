//! What can be named in an expression, and what types it has.

use std::fmt;

/// What is known of a value before there is one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    /// It may be anything.
    Any,
    Null,
    Bool,
    Int,
    Double,
    Text,
    List(Box<Self>),
    /// Values of this type by name.
    Map(Box<Self>),
}

impl Type {
    pub(super) fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    pub(super) fn map(of: Self) -> Self {
        Self::Map(Box::new(of))
    }

    /// True when it is `other`, as far as anybody knows.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        matches!(self, Self::Any) || std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }

    /// True when a value of the one may be equal to a value of the other.
    pub(super) fn may_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (one, other) if one.is_number() && other.is_number() => true,
            (Self::List(one), Self::List(other)) | (Self::Map(one), Self::Map(other)) => {
                one.may_equal(other)
            }
            (one, other) => one == other,
        }
    }

    /// What one of both is.
    pub(super) fn or(self, other: &Self) -> Self {
        if self == *other { self } else { Self::Any }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "anything",
            Self::Null => "null",
            Self::Bool => "a truth",
            Self::Int => "a whole number",
            Self::Double => "a number",
            Self::Text => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        })
    }
}

/// What an expression looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Subject,
    Method,
    Issuer,
    Tier,
    Tenant,
    Roles,
    Scopes,
    Claims,
    RequestMethod,
    Path,
    Host,
    Scheme,
    Query,
    Headers,
    Params,
    ClientIp,
    RouteId,
    Metadata,
}

/// The variables, each with its fields.
pub(super) const VARIABLES: [(&str, &[(&str, Field)]); 3] = [
    (
        "principal",
        &[
            ("subject", Field::Subject),
            ("method", Field::Method),
            ("issuer", Field::Issuer),
            ("tier", Field::Tier),
            ("tenant", Field::Tenant),
            ("roles", Field::Roles),
            ("scopes", Field::Scopes),
            ("claims", Field::Claims),
        ],
    ),
    (
        "request",
        &[
            ("method", Field::RequestMethod),
            ("path", Field::Path),
            ("host", Field::Host),
            ("scheme", Field::Scheme),
            ("query", Field::Query),
            ("headers", Field::Headers),
            ("params", Field::Params),
            ("client_ip", Field::ClientIp),
        ],
    ),
    ("route", &[("id", Field::RouteId), ("metadata", Field::Metadata)]),
];

/// The fields of the variable `name`.
pub(super) fn fields(name: &str) -> Option<&'static [(&'static str, Field)]> {
    VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, fields)| *fields)
}

impl Field {
    pub(super) fn type_of(self) -> Type {
        match self {
            Self::Roles | Self::Scopes => Type::list(Type::Text),
            Self::Claims => Type::map(Type::Any),
            Self::Query | Self::Headers => Type::map(Type::list(Type::Text)),
            Self::Params | Self::Metadata => Type::map(Type::Text),
            _ => Type::Text,
        }
    }
}

/// A list of names for an error.
pub(super) fn quoted<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
