//! Faults of disks, and the damage that the judge must allow.

use super::super::World;
use super::{Blow, Deeds, Undo};
use crate::judge::{Harm, Ruling};
use crate::plan::{Action, Target, Unsynced};
use zabsim_types::ServerId;

impl World {
    pub(super) fn slow_disk(
        &mut self,
        blow: Blow,
        target: &Target,
        extra_us: (u64, u64),
    ) -> Option<String> {
        let servers = self.resolve(blow, target);
        self.each(&servers, "slows the disk of", |world, server| {
            let strike = blow.strike as u32;
            world.servers[server].disk.slow(strike, extra_us);
            world.undo_later(blow, Undo::DiskSpeed(server));
        })
    }

    pub(super) fn fail_fsync(&mut self, blow: Blow, target: &Target) -> Option<String> {
        let servers = self.resolve_up(blow, target);
        self.each(&servers, "fails the next fsync of", |world, server| {
            world.servers[server].disk.fail_next_sync();
        })
    }

    pub(super) fn fill_disk(&mut self, blow: Blow, target: &Target) -> Option<String> {
        let servers = self.resolve(blow, target);
        self.each(&servers, "fills the disk of", |world, server| {
            world.servers[server].disk.fill(blow.strike as u32);
            world.undo_later(blow, Undo::DiskSpace(server));
        })
    }

    pub(super) fn harm(&mut self, blow: Blow, target: &Target, harm: Harm) -> Option<Deeds> {
        let servers = self.resolve(blow, target);
        let deeds = servers
            .iter()
            .map(|&server| self.harm_server(blow.fault, server, harm));
        deeds.reduce(Deeds::join)
    }

    fn harm_server(&mut self, fault: usize, server: usize, harm: Harm) -> Deeds {
        let id = self.servers[server].id;
        let up = self.servers[server].is_up();
        let servers = &self.servers;
        let rotten = |id: ServerId| servers[usize::from(id.0) - 1].disk.is_rotten();
        match self.judge.rule(fault, id, harm, up, &rotten) {
            Ruling::Refused(refusal) => {
                self.reached("damage-refused");
                Deeds {
                    refused: vec![format!("{id}: {refusal}")],
                    ..Deeds::default()
                }
            }
            Ruling::AtNextCrash => Deeds {
                waits: vec![format!("waits until {id} is down")],
                ..Deeds::default()
            },
            Ruling::Strike => {
                self.checks_damaged(server, harm);
                self.damage(fault, server, harm)
            }
        }
    }

    fn damage(&mut self, fault: usize, server: usize, harm: Harm) -> Deeds {
        let id = self.servers[server].id;
        match harm {
            Harm::Wipe => {
                let lasts = self.plan.faults[fault].lasts_us;
                let restart = self.restart_after(server, lasts);
                self.crash_server(server, Unsynced::Lost, Some(restart));
                self.servers[server].disk.wipe();
                self.check_disk_after_crash(server);
                Deeds::did(format!("wipes the disk of {id}"))
            }
            Harm::Rot => {
                let file = match &self.plan.faults[fault].action {
                    Action::BitRot { file, .. } => file.clone(),
                    _ => None,
                };
                let Some(flipped) = self.servers[server].disk.rot(file.as_deref()) else {
                    return Deeds {
                        refused: vec![format!("{id} has no such byte on its disk")],
                        ..Deeds::default()
                    };
                };
                if !self.servers[server].is_up() {
                    self.check_disk_after_crash(server);
                }
                Deeds::did(format!("flips on {id} {flipped}"))
            }
            Harm::BadRead => {
                self.servers[server].disk.bad_read_next(true);
                Deeds::did(format!("makes a read of {id} lie"))
            }
        }
    }

    /// Damage that waited for a server to go down.
    pub(in crate::world) fn harm_that_waited(&mut self, server: usize) {
        let id = self.servers[server].id;
        if self.healed {
            return;
        }
        for fault in self.judge.crashed(id) {
            let harm = match self.plan.faults[fault].action {
                Action::BitRot { .. } => Harm::Rot,
                Action::BadRead { .. } => Harm::BadRead,
                _ => Harm::Wipe,
            };
            let line = self.records.timeline.len();
            let deeds = self.harm_server(fault, server, harm);
            self.tell_deeds(fault, &deeds, line);
        }
    }
}
