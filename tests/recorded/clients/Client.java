// What Java's two clients send.
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.WebSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

public class Client {
    static final String BASE = System.getenv("BASE");

    interface Work { void run() throws Exception; }

    static void quietly(Work work) {
        try { work.run(); } catch (Exception error) { System.err.println(error); }
    }

    static void old(String method, String path, byte[] body, String... fields) {
        quietly(() -> {
            HttpURLConnection connection = (HttpURLConnection) new URL(BASE + path).openConnection();
            connection.setRequestMethod(method);
            for (int at = 0; at < fields.length; at += 2) connection.setRequestProperty(fields[at], fields[at + 1]);
            if (body != null) {
                connection.setDoOutput(true);
                if (path.contains("chunked")) connection.setChunkedStreamingMode(0);
                connection.getOutputStream().write(body);
            }
            try (InputStream answer = connection.getInputStream()) { answer.readAllBytes(); }
        });
    }

    public static void main(String[] arguments) throws Exception {
        var paths = Files.readAllLines(Path.of(System.getenv("CASES")));
        byte[] json = "{\"name\":\"\u00fc\"}".getBytes(StandardCharsets.UTF_8);
        String boundary = "----7d4a6d158c9";
        byte[] form = ("--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\u00fc.txt\"\r\n"
            + "Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: binary\r\n\r\nhello\r\n--" + boundary + "--\r\n").getBytes(StandardCharsets.UTF_8);
        for (String path : paths) old("GET", path, null);
        old("POST", "/json/java", json, "Content-Type", "application/json;charset=UTF-8");
        old("POST", "/plain/java-form", "a=b+c".getBytes());
        old("POST", "/plain/java-chunked", "hello".getBytes());
        old("PUT", "/plain/java-put", new byte[0]);
        old("DELETE", "/plain/java-delete", null);
        old("HEAD", "/plain/java-head", null);
        old("POST", "/upload/java", form, "Content-Type", "multipart/form-data; boundary=" + boundary);

        for (var version : HttpClient.Version.values()) {
            var client = HttpClient.newBuilder().version(version).connectTimeout(Duration.ofSeconds(5)).build();
            for (String path : paths) quietly(() -> client.send(HttpRequest.newBuilder(URI.create(BASE + path)).build(), HttpResponse.BodyHandlers.ofString()));
            quietly(() -> client.send(HttpRequest.newBuilder(URI.create(BASE + "/json/java-http")).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofByteArray(json)).build(), HttpResponse.BodyHandlers.ofString()));
            quietly(() -> client.send(HttpRequest.newBuilder(URI.create(BASE + "/plain/java-http-none"))
                .POST(HttpRequest.BodyPublishers.noBody()).build(), HttpResponse.BodyHandlers.ofString()));
            quietly(() -> client.send(HttpRequest.newBuilder(URI.create(BASE + "/plain/java-http-expect")).expectContinue(true)
                .PUT(HttpRequest.BodyPublishers.ofString("x")).build(), HttpResponse.BodyHandlers.ofString()));
            quietly(() -> client.send(HttpRequest.newBuilder(URI.create(BASE + "/plain/java-http-stream"))
                .POST(HttpRequest.BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(json))).build(), HttpResponse.BodyHandlers.ofString()));
            quietly(() -> client.send(HttpRequest.newBuilder(URI.create(BASE + "/plain/java-http-delete")).DELETE().build(), HttpResponse.BodyHandlers.ofString()));
        }
        quietly(() -> {
            WebSocket socket = HttpClient.newHttpClient().newWebSocketBuilder().subprotocols("v1", "v2")
                .buildAsync(URI.create(BASE.replace("http", "ws") + "/socket/java"), new WebSocket.Listener() {}).get(5, TimeUnit.SECONDS);
            socket.sendText("hello", true).get(5, TimeUnit.SECONDS);
            socket.sendClose(1000, "").get(5, TimeUnit.SECONDS);
        });
        System.exit(0);
    }
}
