//! Pages for those who know actix alone, or another supervision library: its names in ours, and what would surprise them. And how services of
//! some kinds are written.

#[doc = include_str!("docs/actix_web.md")]
pub mod actix_web {}

#[doc = include_str!("docs/coming_from_actix.md")]
pub mod coming_from_actix {}

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

#[doc = include_str!("docs/observing.md")]
pub mod observing {}

#[doc = include_str!("docs/system_services.md")]
pub mod system_services {}

#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
#[doc = include_str!("docs/testing.md")]
pub mod testing {}
