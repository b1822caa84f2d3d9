//! What is exposed, in the configuration file: `[expose.NAME]` and `[socks]`.

use std::collections::BTreeMap;

use gimlet_apps::forward::{Rule, ServiceName};
use serde::de::{Deserialize, Deserializer, Error as _};

/// What the file says about services.
#[derive(Debug, Default, Clone)]
pub(crate) struct ExposeFile {
    pub(crate) services: BTreeMap<ServiceName, ServiceFile>,
    pub(crate) socks: Option<SocksFile>,
}

/// One service.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceFile {
    pub(crate) to: String,
    #[serde(default)]
    pub(crate) allow: Vec<String>,
}

/// The way out.
#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SocksFile {
    #[serde(deserialize_with = "super::file::texts")]
    pub(crate) rules: Vec<Rule>,
    pub(crate) allow: Vec<String>,
}

/// The services by name.
pub(super) fn services<'de, D>(from: D) -> Result<BTreeMap<ServiceName, ServiceFile>, D::Error>
where
    D: Deserializer<'de>,
{
    let services = BTreeMap::<String, ServiceFile>::deserialize(from)?;
    let named = services.into_iter().map(|(name, service)| {
        let name = name.parse().map_err(D::Error::custom)?;
        Ok((name, service))
    });
    named.collect()
}
