//! A clock that was found fast is corrected.

use std::collections::BTreeSet;

use grid_core::RunId;
use grid_core::protocol::{Ack, Message, Verdict};

use super::sent::sent;
use crate::scenario::{Event, Fault, Invariant, Told, View};
use crate::sim::FrameFate;

/// A device whose ops a server stamped anew begins another run, which goes by the server's clock:
/// until a clock jumps again, or the device is opened again, none of that run's ops is stamped
/// anew, unless so little drift is allowed that the server's clock, as it was measured, is too
/// fast.
#[derive(Debug, Default)]
pub(super) struct FastClocksAreCorrected {
    devices: Vec<Device>,
}

/// What is known of a device since it was opened.
#[derive(Debug, Default)]
struct Device {
    /// The runs in which it wrote.
    written: BTreeSet<RunId>,
    /// Whether it was told, since clocks jumped last, that a run of these was too fast.
    told: bool,
    /// The runs that it began since it was told.
    corrected: BTreeSet<RunId>,
}

impl Device {
    /// A clock jumped: what it measures from now on counts.
    fn jumped(&mut self) {
        self.told = false;
        self.corrected.clear();
    }
}

/// Whether a server stamped an op of this run anew.
fn restamps(ack: &Ack) -> bool {
    let mut verdicts = ack.exceptions.iter();
    verdicts.any(|exception| matches!(exception.verdict, Verdict::Restamped(_)))
}

impl FastClocksAreCorrected {
    fn device(&mut self, number: usize) -> &mut Device {
        if self.devices.len() <= number {
            self.devices.resize_with(number + 1, Device::default);
        }
        &mut self.devices[number]
    }
}

impl Invariant for FastClocksAreCorrected {
    fn name(&self) -> &'static str {
        "fast clocks are corrected"
    }

    fn observe(&mut self, event: &Event, view: &View<'_>) -> Result<(), String> {
        match event {
            Event::Fault(Fault::Clock { device, .. }) => self.device(*device).jumped(),
            Event::Fault(Fault::ServerClock { .. }) => {
                self.devices.iter_mut().for_each(Device::jumped);
            }
            Event::Down(party) => {
                if let Some(device) = view.world.device_of(*party) {
                    *self.device(device) = Device::default();
                }
            }
            Event::Told {
                device,
                op: Some(op),
                told: Told::Durable,
                ..
            } => {
                let device = self.device(*device);
                if device.written.insert(op.run) && device.told {
                    device.corrected.insert(op.run);
                }
            }
            Event::Frame {
                to,
                fate: FrameFate::Delivered,
                message: Some(message),
                ..
            } => {
                if let (Message::Ack(ack), Some(device)) = (&**message, view.world.device_of(*to)) {
                    let device = self.device(device);
                    device.told |= restamps(ack) && device.written.contains(&ack.run);
                }
            }
            event => {
                if let Some((_, Message::Ack(ack))) = sent(event) {
                    let mut devices = self.devices.iter();
                    if view.restamps_tell()
                        && restamps(ack)
                        && devices.any(|device| device.corrected.contains(&ack.run))
                    {
                        return Err(format!(
                            "an op of run {} is stamped anew, though the run began because the one \
                             before was too fast, and no clock has jumped since",
                            ack.run
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}
