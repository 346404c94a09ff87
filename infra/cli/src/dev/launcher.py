"""Runs ministack for `smile dev`, nearer to AWS in a few things, and ends it when its owner is gone.

The owner holds the other end of standard input. A byte means that ministack is to stay on its own;
the end of the file without one means that the owner was killed: then nothing may be left behind.
"""

import inspect
import os
import shutil
import signal
import sys
import threading


def watch():
    if os.read(0, 1):
        return
    here = os.path.dirname(os.path.abspath(__file__))
    for name in ("stack.json", "local-cloud.py"):
        try:
            os.unlink(os.path.join(here, name))
        except FileNotFoundError:
            pass
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    # The group is this process and the functions that it runs.
    os.killpg(0, signal.SIGKILL)


def hand_over_preflights():
    """Lets an API's own route OPTIONS answer a preflight, as on AWS.

    There the gateway answers it by itself only where the API has a CORS configuration (API Gateway
    developer guide, "CORS for HTTP APIs"). ministack 1.5.33 does so always, and refuses it where there is
    none.
    """
    from ministack.services import apigateway

    source = inspect.getsource(apigateway._handle_execute_in_scope)
    own, asked = 'if method == "OPTIONS":', 'if method == "OPTIONS" and cors_cfg:'
    if source.count(own) != 1:
        sys.exit("this ministack answers preflights in another way: look at hand_over_preflights")
    exec(source.replace(own, asked), vars(apigateway))


def allow_batches_as_single_messages():
    """Asks for the permission of one message where a batch is meant, as AWS does.

    There is no permission sqs:SendMessageBatch (Amazon SQS developer guide, "Amazon SQS API permissions").
    ministack 1.5.33 asks for it.
    """
    from ministack.core import iam_actions

    called = iam_actions._action_from_target

    def permission(headers):
        action = called(headers)
        is_sqs = headers.get("x-amz-target", "").startswith("AmazonSQS.")
        return action.removesuffix("Batch") if is_sqs else action

    iam_actions._action_from_target = permission


def agree_on_subprotocols():
    """Lets $connect's function say which subprotocol is agreed on, as on AWS.

    There its answer's header Sec-WebSocket-Protocol is handed on (API Gateway developer guide, "Connections that
    require a WebSocket subprotocol"). ministack 1.5.33 drops it, and browsers end a connection on which nothing
    was agreed.
    """
    from ministack.services import apigateway

    def accept(answer):
        headers = (answer or {}).get("headers") or {}
        agreed = [value for name, value in headers.items() if name.lower() == "sec-websocket-protocol"]
        return {"type": "websocket.accept", "subprotocol": agreed[0] if agreed else None}

    source = inspect.getsource(apigateway.handle_websocket)
    own, agreed = 'send({"type": "websocket.accept"})', 'send(_accept(resp if connect_route else None))'
    if source.count(own) != 1:
        sys.exit("this ministack accepts connections in another way: look at agree_on_subprotocols")
    apigateway._accept = accept
    exec(source.replace(own, agreed), vars(apigateway))


threading.Thread(target=watch, daemon=True).start()
sys.argv = ["ministack"]
from ministack.app import main  # noqa: E402 (watching comes first: this takes a while)

hand_over_preflights()
allow_batches_as_single_messages()
agree_on_subprotocols()
main()
