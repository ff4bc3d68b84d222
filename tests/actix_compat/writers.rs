//! actix's writers, whose futures run inside a service.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use actix::{
    io::{SinkWrite, WriteHandler, Writer},
    prelude::*,
};
use futures::Sink;
use tokio::{
    io::{AsyncReadExt, DuplexStream},
    sync::mpsc,
};

use crate::support::{Probe, Subject};

/// Passes on one byte for each poll, and breaks at a `#`.
struct Trickle {
    out: mpsc::UnboundedSender<u8>,
    queue: VecDeque<u8>,
}

#[derive(Debug)]
struct Broken;

impl Sink<&'static str> for Trickle {
    type Error = Broken;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self.queue.front() {
            None => return Poll::Ready(Ok(())),
            Some(b'#') => return Poll::Ready(Err(Broken)),
            Some(byte) => self.out.send(*byte).unwrap(),
        }
        self.queue.pop_front();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn start_send(mut self: Pin<&mut Self>, text: &'static str) -> Result<(), Broken> {
        self.queue.extend(text.bytes());
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.poll_ready(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.poll_ready(cx)
    }
}

impl WriteHandler<Broken> for Probe {
    fn error(&mut self, _: Broken, _: &mut Self::Context) -> Running {
        self.note("broken");
        Running::Stop
    }
}

/// A sink that belongs to the probe's arbiter.
type Text = SinkWrite<&'static str, Trickle>;

/// Has the probe write each of `texts` and then close the sink; what arrives.
async fn written(subject: &Subject, texts: &'static [&'static str], end: End) -> String {
    let (out, mut rx) = mpsc::unbounded_channel();
    subject
        .act(move |_, ctx| {
            let sink = Trickle {
                out,
                queue: VecDeque::new(),
            };
            let mut sink = Text::new(sink, ctx);
            for text in texts {
                sink.write(text).unwrap();
            }
            if end == End::Close {
                sink.close();
                assert_eq!(sink.write("too late"), Err("too late"));
            }
        })
        .await;
    let mut bytes = Vec::new();
    while let Some(byte) = rx.recv().await {
        bytes.push(byte);
    }
    String::from_utf8(bytes).unwrap()
}

/// What comes after the last text.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Close,
    Nothing,
}

#[actix::test]
async fn sink_is_written_to_in_order() {
    let subject = Subject::with_defaults().await;

    let text = written(&subject, &["Hello", " ", "world"], End::Close).await;

    assert_eq!(text, "Hello world");
}

#[actix::test]
async fn service_stops_when_its_sink_is_closed() {
    let mut subject = Subject::with_defaults().await;

    written(&subject, &["Hello"], End::Close).await;

    assert_eq!(
        subject.entries.until("dropped").await,
        ["stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn service_is_told_that_its_sink_is_broken_and_stops() {
    let mut subject = Subject::with_defaults().await;

    let text = written(&subject, &["Hello #"], End::Nothing).await;

    assert_eq!(text, "Hello ");
    assert_eq!(
        subject.entries.until("dropped").await,
        ["broken", "stopping", "stopped", "dropped"]
    );
}

#[actix::test]
async fn sink_is_cancelled_by_its_handle() {
    let subject = Subject::with_defaults().await;
    let (out, mut rx) = mpsc::unbounded_channel();
    let handle = subject
        .act(move |_, ctx| {
            let sink = Trickle {
                out,
                queue: VecDeque::new(),
            };
            let mut sink = Text::new(sink, ctx);
            sink.write("H").unwrap();
            sink.handle()
        })
        .await;
    assert_eq!(rx.recv().await, Some(b'H'));

    subject
        .act(move |_, ctx| assert!(ctx.cancel_future(handle)))
        .await;

    assert_eq!(rx.recv().await, None);
    assert!(subject.connected());
}

impl WriteHandler<io::Error> for Probe {
    fn finished(&mut self, _: &mut Self::Context) {
        self.note("finished");
    }
}

#[actix::test]
async fn writer_writes_bytes() {
    let mut subject = Subject::with_defaults().await;
    let (ours, mut theirs) = tokio::io::duplex(4);

    subject
        .act(|_, ctx| {
            let mut writer = Writer::<DuplexStream, io::Error>::new(ours, ctx);
            writer.write(b"Hello ");
            writer.write(b"world");
            writer.close();
        })
        .await;
    let mut text = String::new();
    theirs.read_to_string(&mut text).await.unwrap();

    assert_eq!(text, "Hello world");
    assert_eq!(subject.entries.next().await, "finished");
    assert!(subject.connected());
}
