//! stub
use std::collections::BTreeMap;
/// Route metadata.
#[derive(Clone, Debug, Default)]
pub struct Metadata(pub BTreeMap<String, String>);
/// Path parameters.
#[derive(Clone, Debug, Default)]
pub struct PathParams;
impl PathParams {
    /// stub
    pub fn value<'a>(&self, _: &'a str, _: &str) -> Option<&'a str> { None }
}
/// Route info.
#[derive(Clone, Debug, Default)]
pub struct RouteInfo;
