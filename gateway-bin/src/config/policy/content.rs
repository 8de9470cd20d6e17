//! `methods` and `content_types`: what a route takes at all.

use gateway_layers::content_type::{ContentTypeFilter, MediaRange, MediaRangeError};
use gateway_layers::method_filter::MethodFilter;

use super::cors::method;
use crate::config::reader::Field;

pub(super) fn methods(field: &Field<'_>) -> Option<MethodFilter> {
    if field.is_empty_list() {
        return field.reject("at least one method; leave it out for every method");
    }
    let expected = "a list of methods such as [\"GET\"]";
    field.list(expected, |field| method(&field)).map(MethodFilter::new)
}

pub(super) fn content_types(field: &Field<'_>) -> Option<ContentTypeFilter> {
    if field.is_empty_list() {
        return field.reject("at least one media type; leave it out for any");
    }
    let expected = "a list of media types such as [\"application/json\"]";
    let read = field.list(expected, |field| field.parse::<MediaRange>(MediaRangeError::EXPECTED));
    read.map(ContentTypeFilter::new)
}
