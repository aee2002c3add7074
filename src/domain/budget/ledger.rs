//! The arithmetic of reservations on budget windows.
//!
//! A [`Ledger`] is a working copy of locked windows. Reserving is all or nothing over every window and
//! unit of a path, and never lets `settled + reserved` exceed an enforced limit. Settling converts
//! reserved amounts to settled ones. Spend beyond the reservation takes the room that is left; spend
//! beyond that is booked as overrun. Spend is never clipped.
//!
//! The caller has locked the windows' rows and writes the changes back ([`Ledger::into_moves`]).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{BudgetNode, OnExhausted, Period, Range};
use crate::domain::{ids::LimitId, spend::FRACTIONS};
