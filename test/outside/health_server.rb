# A gRPC server on the C core with the health service of the gem, for health-ruby-grpc.test.ts.
#
#   ruby health_server.rb MODE PORT [CERT KEY]    MODE: check (as the gem has it), watch (with Watch), none (another service)
#
# Prints its port when it serves. SIGUSR1: NOT_SERVING; SIGUSR2: SERVING; SIGTERM: ends at once.
require "grpc"
require "grpc/health/checker"

STATUS = Grpc::Health::V1::HealthCheckResponse::ServingStatus
RESPONSE = Grpc::Health::V1::HealthCheckResponse
SERVICE = "shop.Cart".freeze

# The gem's checker has no Watch.
class WatchedChecker < Grpc::Health::Checker
  def initialize
    super
    @changes = []
  end

  def publish(status)
    set_status_for_services(status, "", SERVICE)
    @changes.each { |queue| queue << status }
  end

  def watch(request, call)
    queue = Queue.new
    @changes << queue
    Enumerator.new do |answers|
      answers << check(request, call)
      loop { answers << RESPONSE.new(status: queue.pop) }
    end
  end
end

# The gem's checker, told in the same way.
class PlainChecker < Grpc::Health::Checker
  def publish(status)
    set_status_for_services(status, "", SERVICE)
  end
end

# Something that is no health service.
class OtherService
  include GRPC::GenericService
  self.marshal_class_method = :encode
  self.unmarshal_class_method = :decode
  self.service_name = "shop.Cart"
  rpc :Price, Grpc::Health::V1::HealthCheckRequest, Grpc::Health::V1::HealthCheckResponse

  def publish(_status); end
end

mode, port, cert, key = ARGV
handler = { "check" => PlainChecker, "watch" => WatchedChecker, "none" => OtherService }.fetch(mode).new
handler.publish(STATUS::SERVING)

credentials = :this_port_is_insecure
if cert
  credentials = GRPC::Core::ServerCredentials.new(nil, [{ private_key: File.read(key), cert_chain: File.read(cert) }], false)
end
server = GRPC::RpcServer.new(pool_size: 4)
bound = server.add_http2_port("127.0.0.1:#{port}", credentials)
server.handle(handler)

# A signal handler may not take locks.
wanted = Queue.new
trap("USR1") { wanted << STATUS::NOT_SERVING }
trap("USR2") { wanted << STATUS::SERVING }
trap("TERM") { exit!(0) }
Thread.new { loop { handler.publish(wanted.pop) } }
Thread.new do
  server.wait_till_running
  $stdout.puts("port #{bound}")
  $stdout.flush
end
server.run
