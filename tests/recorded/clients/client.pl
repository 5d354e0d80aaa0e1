# What Perl's LWP and HTTP::Tiny send.
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;
use FindBin;
my $base = $ENV{BASE};
open my $file, '<', "$FindBin::Bin/cases.json" or die;
my $cases = decode_json(join '', <$file>);
my $tiny = HTTP::Tiny->new;
$tiny->get($base . $_) for grep { !/[^\x20-\x7e]/ } @{ $cases->{paths} };
$tiny->post_form("$base/plain/perl-form", { a => 'b c' });
$tiny->post("$base/json/perl", { headers => { 'content-type' => 'application/json' }, content => '{"name":"x"}' });
my @parts = ('a', 'b');
$tiny->put("$base/plain/perl-stream", { content => sub { shift @parts } });
if (eval { require LWP::UserAgent; require HTTP::Request::Common; 1 }) {
    my $agent = LWP::UserAgent->new;
    $agent->get($base . $_) for grep { !/[^\x20-\x7e]/ } @{ $cases->{paths} };
    $agent->request(HTTP::Request::Common::POST("$base/upload/perl", Content_Type => 'form-data', Content => [note => 'x', file => [undef, 'a.txt', Content => 'hello']]));
    $agent->post("$base/plain/lwp-form", [a => 'b c']);
}
