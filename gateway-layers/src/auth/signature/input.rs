//! [`Input`]: what a signature says of itself (RFC 9421, sections 2.3 and 4).

use std::borrow::Cow;

use http::HeaderMap;
use http::header::HeaderName;

use super::component::Component;
use super::fault::SignatureRejection;
use super::message::field;
use super::structured::{self, Bare, Dictionary, Item, Member, Params};

pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("signature");
pub(super) const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");

/// Most signatures of one request that are looked at: each may cost a verification.
const MAX_SIGNATURES: usize = 8;

/// Most components of one signature.
pub(super) const MAX_COMPONENTS: usize = 64;

/// The two fields of a request.
pub(super) struct Fields<'a> {
    input: Cow<'a, str>,
    signature: Cow<'a, str>,
}

impl<'a> Fields<'a> {
    /// `None` where there is neither.
    pub(super) fn find(headers: &'a HeaderMap) -> Result<Option<Self>, SignatureRejection> {
        match (headers.contains_key(SIGNATURE_INPUT), headers.contains_key(SIGNATURE)) {
            (false, false) => Ok(None),
            (true, true) => {
                let text = |name| field(headers, name).ok_or(SignatureRejection::Malformed);
                let (input, signature) = (text(&SIGNATURE_INPUT)?, text(&SIGNATURE)?);
                Ok(Some(Self { input, signature }))
            }
            _ => Err(SignatureRejection::Incomplete),
        }
    }

    /// The signatures with what they say of themselves.
    pub(super) fn signatures(&self) -> Result<Vec<Signed<'_>>, SignatureRejection> {
        let inputs = structured::dictionary(&self.input).ok_or(SignatureRejection::Malformed)?;
        let signatures =
            structured::dictionary(&self.signature).ok_or(SignatureRejection::Malformed)?;
        if inputs.len() > MAX_SIGNATURES || signatures.len() > MAX_SIGNATURES {
            return Err(SignatureRejection::TooLarge);
        }
        if inputs.is_empty() || inputs.len() != signatures.len() {
            return Err(SignatureRejection::Incomplete);
        }
        let signed = inputs.into_iter().map(|(label, member)| {
            let (Member::Inner(items, params), Some(bytes)) = (member, bytes(&signatures, label)?)
            else {
                return Err(SignatureRejection::Malformed);
            };
            Ok(Signed { items, params, bytes })
        });
        signed.collect()
    }
}

fn bytes(signatures: &Dictionary<'_>, label: &str) -> Result<Option<Vec<u8>>, SignatureRejection> {
    let found = signatures.iter().find(|(own, _)| *own == label);
    let (_, member) = found.ok_or(SignatureRejection::Incomplete)?;
    Ok(match member {
        Member::Item(Item { bare: Bare::Bytes(bytes), .. }) => Some(bytes.clone()),
        _ => None,
    })
}

/// One signature, of which nothing is believed yet.
pub(super) struct Signed<'a> {
    items: Vec<Item<'a>>,
    params: Params<'a>,
    pub(super) bytes: Vec<u8>,
}

/// What is understood of it.
#[derive(Debug)]
pub(super) struct Input<'a> {
    pub(super) covered: Vec<Component>,
    pub(super) created: Option<i64>,
    pub(super) expires: Option<i64>,
    pub(super) nonce: Option<&'a str>,
    pub(super) algorithm: Option<&'a str>,
    pub(super) tag: Option<&'a str>,
    /// In its one form, as it was signed.
    pub(super) text: String,
}

impl<'a> Signed<'a> {
    /// The key that it names, where it does.
    pub(super) fn key(&self) -> Option<&str> {
        let (_, bare) = self.params.iter().find(|(name, _)| *name == "keyid")?;
        match bare {
            Bare::Text(key) => Some(key),
            _ => None,
        }
    }

    pub(super) fn input(&'a self) -> Result<Input<'a>, SignatureRejection> {
        if self.items.len() > MAX_COMPONENTS {
            return Err(SignatureRejection::TooLarge);
        }
        let mut covered: Vec<Component> = Vec::with_capacity(self.items.len());
        for item in &self.items {
            let component = Component::from_item(item)?;
            if covered.contains(&component) {
                return Err(SignatureRejection::ComponentTwice);
            }
            covered.push(component);
        }
        let mut input = Input {
            covered,
            created: None,
            expires: None,
            nonce: None,
            algorithm: None,
            tag: None,
            text: String::new(),
        };
        for (name, bare) in &self.params {
            match (*name, bare) {
                ("created", Bare::Integer(at)) => input.created = Some(*at),
                ("expires", Bare::Integer(at)) => input.expires = Some(*at),
                ("nonce", Bare::Text(nonce)) => input.nonce = Some(nonce),
                ("alg", Bare::Text(name)) => input.algorithm = Some(name),
                ("tag", Bare::Text(tag)) => input.tag = Some(tag),
                ("keyid", Bare::Text(_)) => {}
                // What it means could be that this signature is not for this.
                _ => return Err(SignatureRejection::Parameter),
            }
        }
        structured::write_inner(&self.items, &self.params, &mut input.text);
        Ok(input)
    }
}
