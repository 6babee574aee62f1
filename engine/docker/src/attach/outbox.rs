//! What is on its way to somebody who is attached, and how much of it there may be.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use homeostat_reconciler::ports::AttachOutput;
use homeostat_reconciler::{ErrorKind, PortError};
use tokio::sync::{Semaphore, mpsc};

/// So much waits at most for one that the program waits for, in bytes.
const HELD_BACK_AT: usize = 64 << 10;
/// One that nothing waits for is cut off when so much waits, in bytes.
const BEHIND_LIMIT: usize = 1 << 20;
/// What one piece takes beside its bytes.
const OVERHEAD: usize = 64;

type Item = Result<AttachOutput, PortError>;

/// Where what a program writes is put.
#[derive(Debug)]
pub(super) struct Outbox {
    sender: mpsc::UnboundedSender<Item>,
    room: Arc<Semaphore>,
    waits: bool,
}

/// There is nobody any more, or nobody who may stay.
#[derive(Debug)]
pub(super) struct Over;

impl Outbox {
    /// An outbox, and what comes out of it. With `waits` the program does, once much is on its way; else who does not take
    /// it is cut off.
    pub(super) fn new(waits: bool) -> (Self, BoxStream<'static, Item>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(if waits { HELD_BACK_AT } else { BEHIND_LIMIT }));
        let freed = Arc::clone(&room);
        let items = stream::unfold(receiver, |mut receiver: mpsc::UnboundedReceiver<Item>| async move {
            Some((receiver.recv().await?, receiver))
        });
        let items = items.inspect(move |item| freed.add_permits(room_of(item) as usize));
        (Self { sender, room, waits }, items.boxed())
    }

    pub(super) async fn put(&self, item: Item) -> Result<(), Over> {
        let room = room_of(&item);
        if self.waits {
            // It is never closed.
            self.room.acquire_many(room).await.map_err(|_| Over)?.forget();
        } else if let Ok(taken) = self.room.try_acquire_many(room) {
            taken.forget();
        } else {
            let _ = self.sender.send(Err(behind()));
            return Err(Over);
        }
        self.sender.send(item).map_err(|_| Over)
    }

    /// The last word, for which there is always room.
    pub(super) fn close(self, item: Item) {
        let _ = self.sender.send(item);
    }

    /// Until nobody takes anything any more.
    pub(super) async fn abandoned(&self) {
        self.sender.closed().await;
    }
}

/// How much room a piece takes; pieces are as long as what is read at once.
fn room_of(item: &Item) -> u32 {
    let length = match item {
        Ok(AttachOutput::Stdout(bytes) | AttachOutput::Stderr(bytes)) => bytes.len(),
        Ok(AttachOutput::End(_)) | Err(_) => 0,
    };
    u32::try_from(length + OVERHEAD).unwrap_or(u32::MAX)
}

fn behind() -> PortError {
    PortError::new(ErrorKind::Transient, "the connection is cut off: what the container writes was not taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(length: usize) -> AttachOutput {
        AttachOutput::Stdout(vec![b'x'; length].into())
    }

    #[tokio::test]
    async fn one_that_the_program_waits_for_holds_it_back() {
        let (outbox, mut items) = Outbox::new(true);
        for _ in 0..3 {
            outbox.put(Ok(piece(16 << 10))).await.unwrap();
        }
        let next = outbox.put(Ok(piece(16 << 10)));
        tokio::pin!(next);
        assert!(futures::poll!(next.as_mut()).is_pending());
        items.next().await.unwrap().unwrap();
        next.await.unwrap();
    }

    #[tokio::test]
    async fn one_that_nothing_waits_for_is_cut_off_when_it_is_too_far_behind() {
        let (outbox, items) = Outbox::new(false);
        let mut put = 0;
        while outbox.put(Ok(piece(16 << 10))).await.is_ok() {
            put += 16 << 10;
        }
        assert!((BEHIND_LIMIT - (32 << 10)..BEHIND_LIMIT).contains(&put), "{put}");
        drop(outbox);
        let items: Vec<Item> = items.collect().await;
        assert!(items.last().unwrap().is_err());
    }
}
