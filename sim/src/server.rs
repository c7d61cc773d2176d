//! The real software: `zabsim-server` on every server.

use crate::process::{Machine, Software};
use zabsim_server::{Config, Effect, Input, Server};

/// `zabsim-server`.
pub(crate) struct RealSoftware;

impl Software for RealSoftware {
    fn files(&self) -> Vec<(zab::FileName, zab::Payload)> {
        zab::format_files()
    }

    fn start(&self, config: &Config) -> Box<dyn Machine> {
        Box::new(Server::new(config.clone()))
    }
}

impl Machine for Server {
    fn step(&mut self, now: zab::Time, input: Input, out: &mut Vec<Effect>) {
        Server::step(self, now, input, out);
    }

    fn waiting_for(&self) -> String {
        Server::waiting_for(self)
    }
}
