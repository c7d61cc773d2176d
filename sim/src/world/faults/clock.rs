//! Faults of clocks. A jump is for good; a drift lasts.

use super::super::World;
use super::{Blow, Undo};
use crate::plan::Target;
use crate::queue::Event;

impl World {
    pub(super) fn clock_jump(&mut self, blow: Blow, target: &Target, by_us: u64) -> Option<String> {
        let servers = self.resolve(blow, target);
        let what = format!("sets {} ms ahead the clock of", by_us / 1_000);
        self.each(&servers, &what, |world, server| {
            world.servers[server].clock.jump(world.now, by_us);
            world.adjust_timers(server);
        })
    }

    pub(super) fn clock_drift(&mut self, blow: Blow, target: &Target, ppm: i32) -> Option<String> {
        let servers = self.resolve(blow, target);
        let what = format!("lets drift by {ppm} ppm the clock of");
        self.each(&servers, &what, |world, server| {
            let strike = blow.strike as u32;
            world.servers[server].clock.drift(world.now, strike, ppm);
            world.adjust_timers(server);
            world.undo_later(blow, Undo::Drift(server));
        })
    }

    pub(super) fn adjust_timers(&mut self, server: usize) {
        let process = &mut self.servers[server];
        for (slot, timer) in process.timers.iter_mut().enumerate() {
            timer.adjust(&mut self.queue, &process.clock, self.now, |generation| {
                Event::Timer {
                    server: server as u8,
                    timer: slot as u8,
                    generation,
                }
            });
        }
    }
}
