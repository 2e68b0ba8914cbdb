"""grpc.health.v1 and server reflection."""

import queue
import threading

import grpc
import pytest
from google.protobuf import descriptor_pb2
import health_pb2

import reflection_pb2
from harness import PATIENCE, fails

SERVING = health_pb2.HealthCheckResponse.SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Watch:
    """A Watch stream, read on a thread."""

    def __init__(self, client, service):
        self.call = client.health.Watch(health_pb2.HealthCheckRequest(service=service), timeout=10 * PATIENCE)
        self.states = queue.Queue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            for answer in self.call:
                self.states.put(answer.status)
        except grpc.RpcError as error:
            self.states.put(error.code())

    def next(self):
        return self.states.get(timeout=PATIENCE)


@pytest.mark.parametrize("service", ["", "larder.v1.Cache"])
def test_check_says_serving(client, service):
    assert client.check(service) == SERVING


def test_check_of_an_unknown_service_is_not_found(client):
    with fails(grpc.StatusCode.NOT_FOUND, 'service: "larder.v1.Nothing" is not one of ours'):
        client.check("larder.v1.Nothing")


@pytest.mark.parametrize("service", ["", "larder.v1.Cache"])
def test_watch_says_serving_at_once_and_stays_open(client, service):
    watch = Watch(client, service)
    assert watch.next() == SERVING
    assert client.check() == SERVING
    assert watch.states.empty() and watch.call.is_active()
    watch.call.cancel()
    assert watch.next() == grpc.StatusCode.CANCELLED


def test_watch_of_an_unknown_service_says_so_and_stays_open(client):
    watch = Watch(client, "larder.v1.Nothing")
    assert watch.next() == SERVICE_UNKNOWN
    assert client.check() == SERVING
    assert watch.states.empty() and watch.call.is_active()
    watch.call.cancel()


def test_many_watches_come_and_go(server, client):
    for _ in range(3):
        watches = [Watch(client, "") for _ in range(100)]
        assert [watch.next() for watch in watches] == [SERVING] * 100
        for watch in watches[::2]:
            watch.call.cancel()
    assert client.check() == SERVING
    # The rest is left to the end of the server, which must not wait for it.


def ask(client, **question):
    """The answer of either version of the reflection service that the server has."""
    call = client.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ReflectionResponse.FromString,
    )
    (answer,) = call(iter([reflection_pb2.ReflectionRequest(**question)]), timeout=client.timeout)
    return answer


def test_reflection_lists_the_services(client):
    names = {service.name for service in ask(client, list_services="").services.service}
    assert {"larder.v1.Cache", "grpc.health.v1.Health"} <= names


def test_reflection_describes_the_contract(client):
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(each)
        for each in ask(client, symbol="larder.v1.Cache").files.descriptor
    ]
    (service,) = [service for file in files if file.package == "larder.v1" for service in file.service]
    methods = {"Get", "Set", "Invalidate", "Release", "BatchGet", "BatchSet", "Touch", "Warm", "Stats"}
    methods |= {"Watch", "RenewWatch", "Pipeline"}
    assert {method.name for method in service.method} == methods
