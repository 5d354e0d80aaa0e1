# What Ruby's net/http and open-uri send.
require 'json'
require 'net/http'
require 'open-uri'
base = ENV.fetch('BASE')
JSON.parse(File.read("#{__dir__}/cases.json"))['paths'].each do |path|
  Net::HTTP.get(URI(base + path)) rescue nil
end
Net::HTTP.post(URI("#{base}/json/ruby"), { name: 'ü' }.to_json, 'Content-Type' => 'application/json')
Net::HTTP.post_form(URI("#{base}/plain/ruby-form"), 'a' => 'b c', 'd' => 'ü')
URI.open("#{base}/plain/ruby-open-uri?a[]=1") { |answer| answer.read } rescue nil
request = Net::HTTP::Post.new('/upload/ruby')
request.set_form([['note', 'x'], ['file', StringIO.new("\x89PNG\0"), { filename: 'ü "x".png', content_type: 'image/png' }]], 'multipart/form-data')
Net::HTTP.start('127.0.0.1', 43180) { |http| http.request(request) }
request = Net::HTTP::Put.new('/plain/ruby-stream', 'Transfer-Encoding' => 'chunked', 'Content-Type' => 'text/plain')
request.body_stream = StringIO.new('hello')
Net::HTTP.start('127.0.0.1', 43180) { |http| http.request(request) }
request = Net::HTTP::Get.new('/basic/ruby')
request.basic_auth('alice', 'open sesame')
Net::HTTP.start('127.0.0.1', 43180) { |http| http.request(request) }
