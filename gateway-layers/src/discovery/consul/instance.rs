//! What an agent says about an instance.

use std::collections::HashMap;

use gateway_core::upstream::EndpointSpec;
use serde::Deserialize;

use super::ConsulConfig;
use crate::discovery::entry;
use crate::discovery::failure::Failure;
use crate::discovery::feed::Found;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    #[serde(default)]
    node: Node,
    service: Service,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Node {
    address: String,
    meta: Option<HashMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    address: String,
    port: u16,
    weights: Option<Weights>,
    meta: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: u32,
}

/// The endpoints of an answer.
pub(super) fn endpoints(config: &ConsulConfig, answer: &[u8]) -> Result<Found, Failure> {
    let instances: Vec<Instance> = serde_json::from_slice(answer)
        .map_err(|problem| Failure::unreadable("the answer", &problem))?;
    let mut found = Found::default();
    for instance in instances {
        match endpoint(config, &instance) {
            Ok(endpoint) => found.endpoints.push(endpoint),
            Err(problem) => {
                found.left_out.get_or_insert(problem);
            }
        }
    }
    Ok(found)
}

fn endpoint(config: &ConsulConfig, instance: &Instance) -> Result<EndpointSpec, String> {
    let Instance { node, service } = instance;
    let host = if service.address.is_empty() { &node.address } else { &service.address };
    let address = entry::at(config.transport, host, service.port)
        .map_err(|problem| format!("instance `{}` is left out: {problem}", service.id))?;
    let mut spec = EndpointSpec::new(address);
    if let Some(weights) = &service.weights {
        spec = spec.weight(weights.passing);
    }
    if let Some(key) = &config.zone_meta {
        let of = |meta: &Option<HashMap<String, String>>| meta.as_ref()?.get(key).cloned();
        if let Some(zone) = of(&service.meta).or_else(|| of(&node.meta)) {
            spec = spec.zone(zone);
        }
    }
    Ok(spec)
}
