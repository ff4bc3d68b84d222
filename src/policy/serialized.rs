//! Why a service ended, for machines.

use std::error::Error;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    exit::{ExitReason, ServiceError},
    told::{Form, MAX_CHAIN, displayed, source_of},
};

/// The kind of the end, what `{}` prints, and the texts of all causes, outermost first. Besides, the place of a panic, with its
/// backtrace if there is one, and which service gave
/// up. A chain of any length is a flat list.
impl Serialize for ExitReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("ExitReason", 5)?;
        fields.serialize_field("kind", self.kind())?;
        fields.serialize_field("text", &self.to_string())?;
        fields.serialize_field("causes", &texts(self.source()))?;
        match self {
            Self::Panicked {
                location,
                backtrace,
                ..
            } => {
                fields.serialize_field("location", location)?;
                if let Some(backtrace) = backtrace {
                    fields.serialize_field("backtrace", &**backtrace)?;
                }
            }
            Self::Escalated { path, .. } => fields.serialize_field("path", path)?,
            Self::Killed(cause) => fields.serialize_field("cause", cause)?,
            _ => {}
        }
        fields.end()
    }
}

/// What it says, and the texts of all causes.
impl Serialize for ServiceError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("ServiceError", 2)?;
        fields.serialize_field("text", &self.to_string())?;
        fields.serialize_field("causes", &texts(self.source()))?;
        fields.end()
    }
}

fn texts(mut next: Option<&(dyn Error + 'static)>) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(error) = next
        && texts.len() < MAX_CHAIN
    {
        texts.push(displayed(error, Form::Plain));
        next = source_of(error);
    }
    texts
}
