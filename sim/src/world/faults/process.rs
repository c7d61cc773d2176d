//! Faults of server processes: crashes, starts, pauses, stages that get their turns late.

use super::super::World;
use super::{Blow, Undo};
use crate::plan::{Action, Target, Unsynced};
use crate::process::{PendingCrash, STAGES};
use crate::queue::Event;

impl World {
    pub(super) fn crash(
        &mut self,
        blow: Blow,
        target: &Target,
        after_effects: u32,
        unsynced: Unsynced,
    ) -> Option<String> {
        let servers = self.resolve_up(blow, target);
        let lasts_us = self.plan.faults[blow.fault].lasts_us;
        self.each(&servers, "crashes", |world, server| {
            let restart = world.restart_after(server, lasts_us);
            // A server that is not at work now counts the effects of its next steps: after NEWLEADER reached it, for one.
            if world.stepping == Some(server) || after_effects > 0 {
                let crash = PendingCrash {
                    after_effects,
                    unsynced,
                    restart_after_us: Some(restart),
                };
                world.crash_after(server, crash);
            } else {
                world.crash_server(server, unsynced, Some(restart));
            }
        })
    }

    pub(super) fn restart_after(&mut self, server: usize, lasts_us: Option<u64>) -> u64 {
        let range = self.plan.climate.restart_us;
        lasts_us.unwrap_or_else(|| self.servers[server].restart_stream.range(range))
    }

    pub(super) fn restart(&mut self, blow: Blow, target: &Target) -> Option<String> {
        let mut servers = self.resolve(blow, target);
        servers.retain(|&server| !self.servers[server].is_up());
        self.each(&servers, "starts", |world, server| {
            world.start_server_at(server, 0);
        })
    }

    pub(super) fn pause(&mut self, blow: Blow, target: &Target) -> Option<String> {
        let servers = self.resolve_up(blow, target);
        self.each(&servers, "pauses", |world, server| {
            world.pause_server(server);
            world.undo_later(blow, Undo::Resume(server));
        })
    }

    /// Restarts one server, and the next one after a while.
    pub(super) fn roll(&mut self, strike: usize, step: u32) {
        let Action::RollingRestart { gap_us } = self.plan.faults[self.strikes[strike].fault].action
        else {
            unreachable!("no rolling restart");
        };
        let server = step as usize;
        if self.servers[server].is_up() {
            let restart = self.restart_after(server, None);
            self.crash_server(server, Unsynced::Kept, Some(restart));
        }
        if server + 1 < self.servers.len() {
            let (strike, step) = (strike as u32, step + 1);
            self.queue
                .push(self.now.plus(gap_us), Event::Continue { strike, step });
        }
    }

    pub(super) fn slow_stage(
        &mut self,
        blow: Blow,
        target: &Target,
        stage: &str,
        extra_us: (u64, u64),
    ) -> Option<String> {
        let slot = STAGES.iter().position(|(_, name)| *name == stage)?;
        let servers = self.resolve(blow, target);
        let what = format!("slows stage {stage} of");
        self.each(&servers, &what, |world, server| {
            let delays = &mut world.servers[server].stages[slot].delays;
            delays.push((blow.strike as u32, extra_us));
            world.undo_later(blow, Undo::Stage(server));
        })
    }
}
