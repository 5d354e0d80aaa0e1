"""A gRPC server with the health service, for tests of groups: `server.py NAME`.

Says its port in the first line. Each line that it is sent is a service and a status, such as `demo.Who NOT_SERVING`; an empty
service, written `-`, is the whole server. It answers each line with `ok`. `/demo.Who/Ask` answers with its name.
"""

import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def main() -> None:
    name = sys.argv[1].encode()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    who = {"Ask": grpc.unary_unary_rpc_method_handler(lambda _request, _context: name)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("demo.Who", who),))
    service = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    for line in sys.stdin:
        about, status = line.split()
        about = "" if about == "-" else about
        service.set(about, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
        print("ok", flush=True)
    server.stop(0)


main()
