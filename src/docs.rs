//! Pages for those who know another supervision library: its names in ours, and what would surprise them.

#[doc = include_str!("docs/coming_from_ambassador.md")]
pub mod coming_from_ambassador {}

#[doc = include_str!("docs/coming_from_capataz.md")]
pub mod coming_from_capataz {}

#[doc = include_str!("docs/coming_from_juju.md")]
pub mod coming_from_juju {}

#[doc = include_str!("docs/coming_from_otp.md")]
pub mod coming_from_otp {}

#[doc = include_str!("docs/coming_from_pact.md")]
pub mod coming_from_pact {}

#[doc = include_str!("docs/coming_from_suture.md")]
pub mod coming_from_suture {}
