//! Answers in the binary form of protobuf.

use super::{
    Outcome, Unreadable, Withheld,
    limit::{Named, Sight},
    plan::{Field, Identity, Name, Node},
};

/// A field as it is written.
pub(crate) struct Raw<'m> {
    pub(crate) number: u32,
    /// All of it.
    pub(crate) whole: &'m [u8],
    /// What it holds, if it has a length.
    pub(crate) content: Option<&'m [u8]>,
}

/// Cuts the next field off.
pub(crate) fn next<'m>(rest: &mut &'m [u8]) -> Result<Raw<'m>, Unreadable> {
    let start = *rest;
    let tag = u32::try_from(varint(rest)?).map_err(|_| Unreadable)?;
    let content = match tag & 7 {
        0 => varint(rest).map(|_| None)?,
        1 => take(rest, 8).map(|_| None)?,
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| Unreadable)?;
            Some(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| None)?,
        // Groups are in none of the published messages.
        _ => return Err(Unreadable),
    };
    if tag >> 3 == 0 {
        return Err(Unreadable);
    }
    Ok(Raw { number: tag >> 3, whole: &start[..start.len() - rest.len()], content })
}

fn take<'m>(rest: &mut &'m [u8], length: usize) -> Result<&'m [u8], Unreadable> {
    let (taken, tail) = rest.split_at_checked(length).ok_or(Unreadable)?;
    *rest = tail;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, Unreadable> {
    let mut value = 0;
    for (index, byte) in rest.iter().take(10).enumerate() {
        if index == 9 && *byte > 1 {
            return Err(Unreadable);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            *rest = &rest[index + 1..];
            return Ok(value);
        }
    }
    Err(Unreadable)
}

pub(super) fn write_varint(mut value: u64, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    into.push(value.to_le_bytes()[0]);
}

/// The message without what the caller may not see.
pub(super) fn filter(
    node: &Node,
    message: &[u8],
    sight: &Sight,
    keeps_totals: bool,
) -> Result<(Vec<u8>, Outcome), Withheld> {
    let mut filter = Filter { sight, keeps_totals, outcome: Outcome::default() };
    let mut filtered = Vec::with_capacity(message.len());
    filter.message(node, message, &mut filtered)?;
    filter.outcome.is_empty = filtered.is_empty();
    Ok((filtered, filter.outcome))
}

struct Filter<'f> {
    sight: &'f Sight,
    keeps_totals: bool,
    outcome: Outcome,
}

impl Filter<'_> {
    fn message(&mut self, node: &Node, mut rest: &[u8], into: &mut Vec<u8>) -> Result<(), Withheld> {
        while !rest.is_empty() {
            let raw = next(&mut rest)?;
            match node.fields.iter().find(|field| field.name.number == raw.number) {
                Some(field) => self.field(field, &raw, into)?,
                None => into.extend_from_slice(raw.whole),
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, raw: &Raw<'_>, into: &mut Vec<u8>) -> Result<(), Withheld> {
        if field.is_total && !self.keeps_totals {
            return Ok(());
        }
        if field.identity.is_none() && field.inner.fields.is_empty() {
            into.extend_from_slice(raw.whole);
            return Ok(());
        }
        let content = raw.content.ok_or(Unreadable)?;
        if let Some(identity) = &field.identity
            && !is_visible(identity, content, self.sight)?
        {
            if identity.is_subject {
                return Err(Withheld::Foreign);
            }
            self.outcome.has_dropped = true;
            return Ok(());
        }
        if field.inner.fields.is_empty() {
            into.extend_from_slice(raw.whole);
            return Ok(());
        }
        let mut inner = Vec::with_capacity(content.len());
        self.message(&field.inner, content, &mut inner)?;
        write_varint(u64::from(raw.number) << 3 | 2, into);
        write_varint(inner.len() as u64, into);
        into.extend_from_slice(&inner);
        Ok(())
    }
}

fn is_visible(identity: &Identity, item: &[u8], sight: &Sight) -> Result<bool, Unreadable> {
    let mut named = Named::default();
    for way in &identity.ways {
        follow(way, item, identity, &mut named)?;
    }
    Ok(named.is_visible(sight, identity))
}

/// Adds what the messages at the end of a way name. All of several count, although decoders merge them.
fn follow(way: &[Name], mut rest: &[u8], identity: &Identity, named: &mut Named) -> Result<(), Unreadable> {
    while !rest.is_empty() {
        let Raw { number, content, .. } = next(&mut rest)?;
        let is = |name: &Option<Name>| name.as_ref().is_some_and(|name| name.number == number);
        match way.split_first() {
            Some((step, way)) if step.number == number => {
                follow(way, content.ok_or(Unreadable)?, identity, named)?;
            }
            Some(_) => {}
            None if is(&identity.project) => named.project(content.ok_or(Unreadable)?),
            None if is(&identity.domain) => named.domain(content.ok_or(Unreadable)?),
            None => {}
        }
    }
    Ok(())
}
