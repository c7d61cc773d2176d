//! How everything is written, to be copied: the file with every key, and a line for each fault, trigger and operation.
//! Each is tested to be read as what it is said to be.

/// A scenario with every key that there is, commented.
pub const EVERY_KEY: &str = include_str!("../../format.toml");

/// Each kind of fault as the lines of a `[[fault]]` that make it one.
pub const FAULTS: &[(&str, &str)] = &[
    ("crash", r#"do = { crash = "leader" }"#),
    (
        "crash-at-effect",
        r#"do = { crash = "leader", after_effects = 2 }"#,
    ),
    (
        "crash-in-recovery",
        "when = { disk = \"read\", server = \"s1\" }\ndo = { crash = \"sender\" }",
    ),
    (
        "crash-lost-tail",
        r#"do = { crash = "s1", unsynced = "lost" }"#,
    ),
    (
        "crash-kept-tail",
        r#"do = { crash = "s1", unsynced = "kept" }"#,
    ),
    (
        "crash-torn-tail",
        r#"do = { crash = "s1", unsynced = "torn" }"#,
    ),
    ("crash-quorum", r#"do = { crash = "majority" }"#),
    ("restart", r#"do = { restart = ["s1", "s2"] }"#),
    ("rolling-restart", r#"do = { rolling_restart = "5s" }"#),
    ("pause", r#"do = { pause = "leader" }"#),
    (
        "partition",
        r#"do = { partition = [["leader"], ["rest"]] }"#,
    ),
    (
        "bridge",
        r#"do = { partition = [["s1", "s3"], ["s2", "s3"]] }"#,
    ),
    (
        "one-way",
        r#"do = { one_way = { from = "leader", to = "follower" } }"#,
    ),
    (
        "flap",
        r#"do = { flap = { between = "leader", and = "s1", down = "100ms", up = "400ms" } }"#,
    ),
    (
        "reset",
        r#"do = { reset = { between = "leader", and = "s1" } }"#,
    ),
    (
        "half-open",
        r#"do = { reset = { between = "leader", and = "s1", half_open = true } }"#,
    ),
    (
        "delay",
        r#"do = { delay = { between = "leader", and = "all", extra = ["10ms", "50ms"] } }"#,
    ),
    (
        "stall",
        r#"do = { stall = { between = "leader", and = "s1" } }"#,
    ),
    (
        "bandwidth",
        r#"do = { bandwidth = { between = "leader", and = "s1", bytes_per_s = 100000 } }"#,
    ),
    (
        "election-loss",
        r#"do = { election_loss = { lost_per_mille = 200, repeated_per_mille = 100 } }"#,
    ),
    (
        "slow-disk",
        r#"do = { slow_disk = "leader", extra = ["5ms", "50ms"] }"#,
    ),
    ("fsync-error", r#"do = { fsync_error = "follower" }"#),
    ("disk-full", r#"do = { disk_full = "s1" }"#),
    ("wipe", r#"do = { wipe = "follower" }"#),
    ("bit-rot", r#"do = { bit_rot = "s1", file = "log" }"#),
    ("bad-read", r#"do = { bad_read = "s1" }"#),
    ("clock-jump", r#"do = { clock_jump = "s1", by = "10s" }"#),
    ("clock-drift", r#"do = { clock_drift = "s1", ppm = 500 }"#),
    (
        "slow-stage",
        r#"do = { slow_stage = "leader", stage = "apply", extra = ["10ms", "100ms"] }"#,
    ),
    ("client-crash", r#"do = { client_crash = [1] }"#),
    ("client-pause", r#"do = { client_pause = "any" }"#),
    ("client-move", r#"do = { client_move = [1], to = "s2" }"#),
    ("reconnect-storm", r#"do = { client_move = [1, 2, 3] }"#),
    ("client-cut", r#"do = { client_cut = [1] }"#),
    ("client-duplicate", r#"do = { client_duplicate = "any" }"#),
    ("mark", "do = { mark = true }"),
    ("heal", "do = { heal = true }"),
];

/// Each way to say when, and what it means.
pub const TRIGGERS: &[(&str, &str)] = &[
    (r#"at = "5s""#, "at that time of the world"),
    (
        r#"after = "label""#,
        "when the fault of that label has struck; `delay = \"500ms\"` beside it: so much later",
    ),
    (
        r#"when = { send = "NEWLEADER" }"#,
        "a server sends that message; `from`, `to`: only those targets'",
    ),
    (
        r#"when = { receive = "ACK" }"#,
        "a server is about to take in that message; `from`, `to` as above",
    ),
    (
        r#"when = { disk = "sync" }"#,
        "a server hands that operation to its disk; `file`: its name's beginning, `server`: whose",
    ),
    (
        r#"when = { note = "established" }"#,
        "a server notes that, or reaches that mark (`zabsim list marks`); `server`: which",
    ),
    (
        "when = { reply = 1 }",
        "that client's request is answered; 0: any client's",
    ),
    (
        r#"when = { send = "COMMIT", nth = 3 }"#,
        "the third of them; with every `when`",
    ),
    (
        r#"when = { send = "COMMIT", not_before = "5s" }"#,
        "those before that time do not count; with every `when`",
    ),
    (
        r#"when = { send = "COMMIT", after = "label" }"#,
        "those before that fault struck do not count; with every `when`",
    ),
];

/// Each operation as an `[[op]]` may have it, and what it does.
pub const OPERATIONS: &[(&str, &str)] = &[
    (
        r#"do = { create = "/a", data = "x", mode = "ephemeral", acl = ["world:anyone:r"] }"#,
        "creates a node; modes: persistent (default), ephemeral, persistent_sequential, ephemeral_sequential, container, \
         persistent_with_ttl, persistent_sequential_with_ttl (these two with ttl); acl: default open to all",
    ),
    (
        r#"do = { delete = "/a", version = 0 }"#,
        "deletes it, if it has that version; default: any",
    ),
    (
        r#"do = { set = "/a", data = "y", version = 0 }"#,
        "sets its data, if it has that version; default: any",
    ),
    (
        r#"do = { get = "/a", watch = true }"#,
        "reads its data, and leaves a watch; default: none",
    ),
    (
        r#"do = { exists = "/a", watch = true }"#,
        "asks whether it is there",
    ),
    (
        r#"do = { children = "/a", watch = true }"#,
        "lists its children",
    ),
    (
        r#"do = { sync = "/", mode = "quorum" }"#,
        "catches up with the leader's word (leader, the default) or with a quorum's (quorum)",
    ),
    (
        r#"do = { multi = [{ check = "/a", version = 0 }, { delete = "/a" }] }"#,
        "all of them or none",
    ),
    (
        r#"do = { check = "/a", version = 0 }"#,
        "part of a multi: fails it where the node has another version",
    ),
    ("do = { close_session = true }", "closes the session"),
    (
        r#"do = { get_acl = "/a" }"#,
        "reads its access control list",
    ),
    (
        r#"do = { set_acl = "/a", acl = ["world:anyone:cdrwa"], version = 0 }"#,
        "replaces its access control list, if that has this version; default: any",
    ),
    (
        r#"do = { add_auth = "digest", auth = "user:password" }"#,
        "proves an identity; what is refused ends the session",
    ),
    ("do = { who_am_i = true }", "lists the identities"),
    (
        r#"do = { add_watch = "/a", mode = "persistent_recursive" }"#,
        "leaves a watch that stays; modes: persistent (default), persistent_recursive",
    ),
    (
        r#"do = { remove_watches = "/a", kind = "any" }"#,
        "takes watches away; kinds: any (default), data, children, persistent, persistent_recursive",
    ),
    (
        r#"do = { check_watches = "/a", kind = "data" }"#,
        "asks whether there are such watches",
    ),
    (
        r#"do = { multi_read = [{ get = "/a" }, { children = "/" }] }"#,
        "several reads, each with its own outcome",
    ),
    (
        r#"do = { ephemerals = "/" }"#,
        "lists the session's ephemeral nodes below it",
    ),
    (
        r#"do = { all_children_number = "/" }"#,
        "counts all nodes below it",
    ),
    (
        r#"do = { reconfig = { joining = "server.4=…", leaving = "2" } }"#,
        "changes the ensemble's members, or names all of them (new_members); from_config: the version that it must have",
    ),
];
