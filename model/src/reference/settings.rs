//! What a server can be told by its configuration, as far as answers depend on it.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The settings of the ideal server, and of the tree's rules. Where they are read, what is not named is the default.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether there are TTL nodes (`zookeeper.extendedTypesEnabled`). Containers are always there.
    pub extended_types: bool,
    /// Whether hard limits of quotas are enforced (`enforceQuota`).
    pub enforce_quota: bool,
    /// Whether the members may be changed (`reconfigEnabled`).
    pub reconfig_enabled: bool,
    /// What the configuration's node holds at first; nothing, if that is not told, as on a standalone server.
    pub first_configuration: Option<Arc<str>>,
    /// Whether new sessions are known to their server alone (`localSessionsEnabled`): no transaction makes or ends them.
    pub local_sessions: bool,
    /// Whether a local session that makes an ephemeral becomes a global one; else it is refused
    /// (`localSessionsUpgradingEnabled`).
    pub upgrade_local_sessions: bool,
    /// Who may do everything: `user:base64(SHA1(user:password))` (`zookeeper.DigestAuthenticationProvider.superDigest`).
    pub super_digest: Option<Arc<str>>,
    /// The longest request, in bytes of its frame (`jute.maxbuffer`). A longer one costs the connection.
    pub max_frame: usize,
    /// Whether a client's own `deleteContainer` needs `DELETE` on the parent and takes containers and TTL nodes only. Apache
    /// ZooKeeper 3.9.5 removes any childless node that is no ephemeral, for anybody: a defect, for comparison only.
    pub guard_delete_container: bool,
}

impl Settings {
    /// The default of `jute.maxbuffer`.
    pub const MAX_FRAME: usize = 0xf_ffff;

    /// As Apache ZooKeeper 3.9.5 behaves, its defects included.
    pub fn zookeeper_3_9_5() -> Settings {
        Settings {
            guard_delete_container: false,
            ..Settings::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            extended_types: true,
            enforce_quota: false,
            reconfig_enabled: false,
            first_configuration: None,
            local_sessions: false,
            upgrade_local_sessions: true,
            super_digest: None,
            max_frame: Settings::MAX_FRAME,
            guard_delete_container: true,
        }
    }
}
