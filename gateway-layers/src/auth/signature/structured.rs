//! Structured fields (RFC 8941), read strictly and written in their one form.
//!
//! Stricter than the standard asks where two readers could differ: a name that stands twice in a
//! dictionary or among parameters is rejected, and so is base64 that is not in its only form.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A value without parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bare<'a> {
    Integer(i64),
    /// In thousandths.
    Decimal(i64),
    Text(Cow<'a, str>),
    Token(&'a str),
    Bytes(Vec<u8>),
    Boolean(bool),
}

/// Names and values in their order, no name twice.
pub(super) type Params<'a> = Vec<(&'a str, Bare<'a>)>;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) bare: Bare<'a>,
    pub(super) params: Params<'a>,
}

/// A member of a list or dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member<'a> {
    Item(Item<'a>),
    Inner(Vec<Item<'a>>, Params<'a>),
}

/// Members by name in their order, no name twice.
pub(super) type Dictionary<'a> = Vec<(&'a str, Member<'a>)>;

/// RFC 8941, section 4.2.2.
pub(super) fn dictionary(text: &str) -> Option<Dictionary<'_>> {
    let mut members: Dictionary<'_> = Vec::new();
    let mut reader = Reader::new(text);
    reader.members(|reader| {
        let name = reader.key()?;
        if members.iter().any(|(other, _)| *other == name) {
            return None;
        }
        let member = if reader.takes(b'=') {
            reader.member()?
        } else {
            Member::Item(Item { bare: Bare::Boolean(true), params: reader.params()? })
        };
        members.push((name, member));
        Some(())
    })?;
    Some(members)
}

/// RFC 8941, section 4.2.1.
pub(super) fn list(text: &str) -> Option<Vec<Member<'_>>> {
    let mut members = Vec::new();
    let mut reader = Reader::new(text);
    reader.members(|reader| {
        members.push(reader.member()?);
        Some(())
    })?;
    Some(members)
}

/// RFC 8941, section 4.2.3.
pub(super) fn item(text: &str) -> Option<Item<'_>> {
    let mut reader = Reader::new(text);
    reader.blanks();
    let item = reader.item()?;
    reader.blanks();
    reader.rest.is_empty().then_some(item)
}

/// What is left to be read.
struct Reader<'a> {
    text: &'a str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, rest: text.as_bytes() }
    }

    fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    fn since(&self, start: usize) -> Option<&'a str> {
        self.text.get(start..self.at())
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn takes(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.next();
        }
        found
    }

    fn skip(&mut self, mut belongs: impl FnMut(u8) -> bool) {
        while self.peek().is_some_and(&mut belongs) {
            self.next();
        }
    }

    fn blanks(&mut self) {
        self.skip(|byte| byte == b' ');
    }

    /// What stands between commas, up to the end.
    fn members(&mut self, mut member: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.blanks();
        while !self.rest.is_empty() {
            member(self)?;
            self.skip(|byte| matches!(byte, b' ' | b'\t'));
            if self.rest.is_empty() {
                return Some(());
            }
            if !self.takes(b',') {
                return None;
            }
            self.skip(|byte| matches!(byte, b' ' | b'\t'));
            if self.rest.is_empty() {
                // A comma with nothing behind it.
                return None;
            }
        }
        Some(())
    }

    fn member(&mut self) -> Option<Member<'a>> {
        if !self.takes(b'(') {
            return self.item().map(Member::Item);
        }
        let mut items = Vec::new();
        loop {
            self.blanks();
            if self.takes(b')') {
                return Some(Member::Inner(items, self.params()?));
            }
            items.push(self.item()?);
            if !matches!(self.peek(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn item(&mut self) -> Option<Item<'a>> {
        Some(Item { bare: self.bare()?, params: self.params()? })
    }

    fn params(&mut self) -> Option<Params<'a>> {
        let mut params: Params<'a> = Vec::new();
        while self.takes(b';') {
            self.blanks();
            let name = self.key()?;
            if params.iter().any(|(other, _)| *other == name) {
                return None;
            }
            let bare = if self.takes(b'=') { self.bare()? } else { Bare::Boolean(true) };
            params.push((name, bare));
        }
        Some(params)
    }

    fn key(&mut self) -> Option<&'a str> {
        let start = self.at();
        if !self.peek().is_some_and(|first| first.is_ascii_lowercase() || first == b'*') {
            return None;
        }
        self.skip(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
        });
        self.since(start)
    }

    fn bare(&mut self) -> Option<Bare<'a>> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string().map(Bare::Text),
            b':' => self.bytes().map(Bare::Bytes),
            b'?' => {
                self.next();
                match self.next()? {
                    b'1' => Some(Bare::Boolean(true)),
                    b'0' => Some(Bare::Boolean(false)),
                    _ => None,
                }
            }
            first if first.is_ascii_alphabetic() || first == b'*' => {
                let start = self.at();
                self.skip(|byte| {
                    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte)
                });
                self.since(start).map(Bare::Token)
            }
            _ => None,
        }
    }

    /// RFC 8941, section 4.2.4: 15 digits, or 12 and 3 behind the point.
    fn number(&mut self) -> Option<Bare<'a>> {
        let sign = if self.takes(b'-') { -1 } else { 1 };
        let start = self.at();
        self.skip(|byte| byte.is_ascii_digit());
        let whole = self.since(start)?;
        if !self.takes(b'.') {
            let fits = (1..=15).contains(&whole.len());
            return fits.then_some(Bare::Integer(sign * whole.parse::<i64>().ok()?));
        }
        let start = self.at();
        self.skip(|byte| byte.is_ascii_digit());
        let part = self.since(start)?;
        if !(1..=12).contains(&whole.len()) || !(1..=3).contains(&part.len()) {
            return None;
        }
        let thousandths = format!("{whole}{part:0<3}").parse::<i64>().ok()?;
        Some(Bare::Decimal(sign * thousandths))
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.next();
        let start = self.at();
        self.skip(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
        let plain = self.since(start)?;
        if self.takes(b'"') {
            return Some(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        loop {
            match self.next()? {
                b'"' => return Some(Cow::Owned(text)),
                b'\\' => match self.next()? {
                    escaped @ (b'"' | b'\\') => text.push(char::from(escaped)),
                    _ => return None,
                },
                byte @ b' '..=b'~' => text.push(char::from(byte)),
                _ => return None,
            }
        }
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        self.next();
        let start = self.at();
        self.skip(|byte| byte != b':');
        let encoded = self.since(start)?;
        self.next()?;
        STANDARD.decode(encoded).ok()
    }
}

impl Bare<'_> {
    /// RFC 8941, section 4.1.3.1.
    pub(super) fn write(&self, out: &mut String) {
        // Writing to a text cannot fail.
        let _ = match self {
            Self::Integer(number) => write!(out, "{number}"),
            Self::Decimal(thousandths) => {
                let (sign, size) =
                    if *thousandths < 0 { ("-", -thousandths) } else { ("", *thousandths) };
                let part = format!("{:03}", size % 1000);
                let part = match part.trim_end_matches('0') {
                    "" => "0",
                    part => part,
                };
                write!(out, "{sign}{}.{part}", size / 1000)
            }
            Self::Text(text) => {
                write_string(text, out);
                Ok(())
            }
            Self::Token(token) => write!(out, "{token}"),
            Self::Bytes(bytes) => {
                write_bytes(bytes, out);
                Ok(())
            }
            Self::Boolean(value) => write!(out, "?{}", u8::from(*value)),
        };
    }
}

/// As a string. What cannot stand in one is left away; callers have made sure that there is none.
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars().filter(|letter| (' '..='~').contains(letter)) {
        if matches!(letter, '"' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
}

/// As a byte sequence.
pub(super) fn write_bytes(bytes: &[u8], out: &mut String) {
    out.push(':');
    STANDARD.encode_string(bytes, out);
    out.push(':');
}

/// RFC 8941, section 4.1.1.2.
pub(super) fn write_params(params: &Params<'_>, out: &mut String) {
    for (name, bare) in params {
        out.push(';');
        out.push_str(name);
        if *bare != Bare::Boolean(true) {
            out.push('=');
            bare.write(out);
        }
    }
}

impl Item<'_> {
    pub(super) fn write(&self, out: &mut String) {
        self.bare.write(out);
        write_params(&self.params, out);
    }
}

impl Member<'_> {
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Item(item) => item.write(out),
            Self::Inner(items, params) => write_inner(items, params, out),
        }
    }
}

/// RFC 8941, section 4.1.1.1.
pub(super) fn write_inner(items: &[Item<'_>], params: &Params<'_>, out: &mut String) {
    out.push('(');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        item.write(out);
    }
    out.push(')');
    write_params(params, out);
}

/// RFC 8941, section 4.1.2.
pub(super) fn write_dictionary(members: &Dictionary<'_>, out: &mut String) {
    for (index, (name, member)) in members.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(name);
        match member {
            Member::Item(Item { bare: Bare::Boolean(true), params }) => write_params(params, out),
            member => {
                out.push('=');
                member.write(out);
            }
        }
    }
}

/// RFC 8941, section 4.1.1.
pub(super) fn write_list(members: &[Member<'_>], out: &mut String) {
    for (index, member) in members.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        member.write(out);
    }
}
