//! A look into dead letters hides each of them until it gives all back. So it goes on by itself: when whoever asked has
//! gone, or the console ends, it stops in good order.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::spawn_local;

use super::Scene;
use crate::redrive::{DeadLetters, Look, Wanted, Which};

/// Looks at the dead letters of a queue. Those that were hidden before count as hidden.
pub(super) async fn look(scene: &Arc<Scene>, which: Which, wanted: Wanted) -> anyhow::Result<Look> {
    let going = scene.under_way.begin()?;
    let scene = Arc::clone(scene);
    let (answer, answered) = oneshot::channel();
    spawn_local(async move {
        let heard = |_| if answer.is_closed() { ControlFlow::Break(()) } else { going.flow() };
        let look = look_on(&scene, which, &wanted, heard).await;
        let _ = answer.send(look);
    });
    answered.await?
}

async fn look_on(
    scene: &Scene,
    which: Which,
    wanted: &Wanted,
    mut heard: impl FnMut(u64) -> ControlFlow<()>,
) -> anyhow::Result<Look> {
    let dead = DeadLetters::of(&scene.deployed, which)?;
    let (_, hidden) = dead.about().await?;
    let mut look = dead.look(wanted, &mut heard).await?;
    look.hidden += hidden;
    Ok(look)
}
