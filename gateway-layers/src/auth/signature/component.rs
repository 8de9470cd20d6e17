//! [`Component`]: one thing that a signature covers.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;

use super::fault::SignatureRejection;
use super::structured::{self, Bare, Item};

/// One thing that a signature covers (RFC 9421, section 2): a field, or something derived from the
/// request.
///
/// Read from its name as documents write it: `@method`, `content-digest`,
/// `@query-param;name="id"`, `priority;key="u"`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Component {
    pub(super) name: Name,
    pub(super) form: Form,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Method,
    TargetUri,
    Authority,
    Scheme,
    RequestTarget,
    Path,
    Query,
    QueryParam,
    Status,
    Field(HeaderName),
}

/// What its parameter makes of it; there is at most one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Plain,
    /// `sf`: in the one form of its structure.
    Structured,
    /// `bs`: each line as bytes.
    Bytes,
    /// `key`: one member of a dictionary.
    Member(String),
    /// `name`: one parameter of the query.
    Parameter(String),
}

impl Component {
    /// `@method`: `GET`.
    pub const METHOD: Self = Self::plain(Name::Method);
    /// `@authority`: the host in lower case, with a port that is not the scheme's.
    pub const AUTHORITY: Self = Self::plain(Name::Authority);
    /// `@scheme`: `http` or `https`.
    pub const SCHEME: Self = Self::plain(Name::Scheme);
    /// `@path`: the path, percent-encoded.
    pub const PATH: Self = Self::plain(Name::Path);
    /// `@query`: the query with its question mark, which stands alone where there is no query.
    pub const QUERY: Self = Self::plain(Name::Query);
    /// `@target-uri`: scheme, authority, path and query.
    pub const TARGET_URI: Self = Self::plain(Name::TargetUri);
    /// `@request-target`: path and query.
    pub const REQUEST_TARGET: Self = Self::plain(Name::RequestTarget);
    /// `content-digest`: the body, by its digest (RFC 9530).
    pub const CONTENT_DIGEST: Self = Self::plain(Name::Field(super::digest::CONTENT_DIGEST));

    const fn plain(name: Name) -> Self {
        Self { name, form: Form::Plain }
    }

    /// A field: the values of its lines.
    pub const fn field(name: HeaderName) -> Self {
        Self::plain(Name::Field(name))
    }

    /// A parameter of the query, by its name before it is encoded.
    pub fn query_param(name: &str) -> Self {
        let mut encoded = String::new();
        super::message::encode(name.as_bytes(), &mut encoded);
        Self { name: Name::QueryParam, form: Form::Parameter(encoded) }
    }

    /// The field that it is, or a part of.
    pub(super) fn field_name(&self) -> Option<&HeaderName> {
        match &self.name {
            Name::Field(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn is_query_param(&self) -> bool {
        self.name == Name::QueryParam
    }

    /// True when whoever signs this has signed all that `other` stands for.
    pub(super) fn includes(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        match (&self.name, &other.name) {
            (Name::TargetUri, Name::Scheme | Name::Authority | Name::Path | Name::Query)
            | (Name::TargetUri, Name::RequestTarget)
            | (Name::RequestTarget, Name::Path | Name::Query)
            | (Name::Query, Name::QueryParam)
            | (Name::TargetUri | Name::RequestTarget, Name::QueryParam) => true,
            (Name::Field(own), Name::Field(theirs)) => {
                let whole = matches!(self.form, Form::Plain | Form::Structured | Form::Bytes);
                own == theirs && whole
            }
            _ => false,
        }
    }

    /// The component that an item of the covered ones names.
    pub(super) fn from_item(item: &Item<'_>) -> Result<Self, SignatureRejection> {
        let Bare::Text(name) = &item.bare else {
            return Err(SignatureRejection::Malformed);
        };
        Self::read(name, item.params.as_slice()).ok_or(SignatureRejection::Component)
    }

    fn read(name: &str, params: &[(&str, Bare<'_>)]) -> Option<Self> {
        let form = match params {
            [] => Form::Plain,
            [("sf", Bare::Boolean(true))] => Form::Structured,
            [("bs", Bare::Boolean(true))] => Form::Bytes,
            [("key", Bare::Text(key))] => Form::Member(key.clone().into_owned()),
            [("name", Bare::Text(name))] => Form::Parameter(name.clone().into_owned()),
            // Trailers are not there yet, a request has no request, and what is not known may
            // mean anything.
            _ => return None,
        };
        let derived = match name {
            "@method" => Name::Method,
            "@target-uri" => Name::TargetUri,
            "@authority" => Name::Authority,
            "@scheme" => Name::Scheme,
            "@request-target" => Name::RequestTarget,
            "@path" => Name::Path,
            "@query" => Name::Query,
            "@query-param" => Name::QueryParam,
            "@status" => Name::Status,
            field => {
                let name = HeaderName::from_lowercase(field.as_bytes()).ok()?;
                let fits = !matches!(form, Form::Parameter(_));
                return fits.then_some(Self { name: Name::Field(name), form });
            }
        };
        let fits = match derived {
            Name::QueryParam => matches!(form, Form::Parameter(_)),
            _ => form == Form::Plain,
        };
        fits.then_some(Self { name: derived, form })
    }

    fn name(&self) -> &str {
        match &self.name {
            Name::Method => "@method",
            Name::TargetUri => "@target-uri",
            Name::Authority => "@authority",
            Name::Scheme => "@scheme",
            Name::RequestTarget => "@request-target",
            Name::Path => "@path",
            Name::Query => "@query",
            Name::QueryParam => "@query-param",
            Name::Status => "@status",
            Name::Field(name) => name.as_str(),
        }
    }

    /// Writes the identifier as it stands among the covered components.
    pub(super) fn write(&self, out: &mut String) {
        structured::write_string(self.name(), out);
        self.write_form(out);
    }

    fn write_form(&self, out: &mut String) {
        match &self.form {
            Form::Plain => {}
            Form::Structured => out.push_str(";sf"),
            Form::Bytes => out.push_str(";bs"),
            Form::Member(key) => {
                out.push_str(";key=");
                structured::write_string(key, out);
            }
            Form::Parameter(name) => {
                out.push_str(";name=");
                structured::write_string(name, out);
            }
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.name().to_owned();
        self.write_form(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What was given is nothing that a signature could cover.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no component, expected a field in lower case or `@method`, `@target-uri`, \
     `@authority`, `@scheme`, `@request-target`, `@path`, `@query` or `@query-param;name=\"...\"`"
)]
pub struct ComponentUnknown(pub(super) String);

impl Component {
    /// True for what says which host was asked: `@authority` and `@target-uri`.
    pub fn says_host(&self) -> bool {
        matches!(self.name, Name::Authority | Name::TargetUri)
    }
}

impl FromStr for Component {
    type Err = ComponentUnknown;

    fn from_str(text: &str) -> Result<Self, ComponentUnknown> {
        let (name, params) = text.split_at(text.find(';').unwrap_or(text.len()));
        let mut quoted = String::new();
        structured::write_string(name, &mut quoted);
        quoted.push_str(params);
        let component = structured::item(&quoted).and_then(|item| Self::from_item(&item).ok());
        component
            .filter(|component| component.name != Name::Status)
            .ok_or_else(|| ComponentUnknown(text.to_owned()))
    }
}
