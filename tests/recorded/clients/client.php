<?php
// What PHP's streams and its curl send.
$base = getenv('BASE');
$paths = json_decode(file_get_contents(__DIR__ . '/cases.json'), true)['paths'];
foreach ($paths as $path) {
    @file_get_contents($base . $path);
}
$ask = fn($path, $http) => @file_get_contents($base . $path, false, stream_context_create(['http' => $http]));
$ask('/json/php', ['method' => 'POST', 'header' => "Content-Type: application/json\r\n", 'content' => json_encode(['name' => 'ü', 'url' => 'a/b'])]);
$ask('/plain/php-form', ['method' => 'POST', 'header' => "Content-type: application/x-www-form-urlencoded\r\n", 'content' => http_build_query(['a' => ['x' => 1, 'y' => 'b c']])]);
$ask('/plain/php-1.1', ['protocol_version' => '1.1', 'header' => ['Connection: close', 'Accept: */*'], 'user_agent' => 'PHP']);
if (function_exists('curl_init')) {
    foreach ([['/plain/php-curl', []], ['/upload/php', ['note' => 'x', 'file' => new CURLStringFile("\x89PNG\0", 'ü.png', 'image/png')]], ['/plain/php-fields', 'a=1']] as [$path, $fields]) {
        $curl = curl_init($base . $path);
        curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
        if ($fields) {
            curl_setopt($curl, CURLOPT_POSTFIELDS, $fields);
        }
        curl_exec($curl);
    }
}
