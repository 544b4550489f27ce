//! The memory that Argon2 works in: taken again by the next hash instead of from the system, and emptied in between.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use argon2::Block;
use zeroize::Zeroize as _;

/// Memory for hashes, as much as is worked in at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct HashingMemory {
    idle: Arc<Mutex<Vec<Vec<Block>>>>,
}

/// The memory of one hash; given back, empty, when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    blocks: Vec<Block>,
    owner: HashingMemory,
    most: usize,
}

impl HashingMemory {
    /// Memory for one hash. What is given back is kept for the next one up to `most` blocks of 1 KiB.
    pub(super) fn take(&self, most: usize) -> Lease {
        let blocks = self.idle().pop().unwrap_or_default();
        Lease { blocks, owner: self.clone(), most }
    }

    /// Gives what is idle back to the system.
    pub(super) fn release(&self) {
        drop(mem::take(&mut *self.idle()));
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn idle_blocks(&self) -> Vec<usize> {
        self.idle().iter().map(Vec::len).collect()
    }
}

impl Lease {
    /// So many blocks of 1 KiB.
    pub(super) fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.blocks.len() < count {
            // Not by growing, which would hold both.
            self.blocks = Vec::new();
            self.blocks = vec![Block::new(); count];
        }
        &mut self.blocks[..count]
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut blocks = mem::take(&mut self.blocks);
        // They tell about the password.
        blocks.iter_mut().for_each(Block::zeroize);
        // A hash of other days may have needed more.
        if blocks.len() <= self.most {
            self.owner.idle().push(blocks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_taken_again_and_is_empty() {
        let memory = HashingMemory::default();
        let mut first = memory.take(8);
        for block in first.blocks(8) {
            block.as_mut().fill(7);
        }
        let place = first.blocks(8).as_ptr();
        drop(first);
        let mut second = memory.take(8);
        assert_eq!(second.blocks(8).as_ptr(), place);
        assert!(second.blocks(8).iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
        let other = memory.take(8);
        drop((second, other));
        let mut larger = memory.take(8);
        larger.blocks(9);
        drop(larger);
        assert!(memory.idle_blocks().iter().all(|blocks| *blocks <= 8));
        memory.release();
        assert!(memory.idle_blocks().is_empty());
    }
}
