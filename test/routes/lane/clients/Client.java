// The HTTP client of the JDK as it is: it asks for HTTP/2 with `Upgrade: h2c` on every connection.
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

class Client {
  static final HttpClient client = HttpClient.newHttpClient();
  static final String base = System.getenv("STEPWELL_URL");

  static String ask(String method, String path, BodyPublisher body, String... headers) throws Exception {
    var request = HttpRequest.newBuilder(URI.create(base + path)).method(method, body).header("Content-Type", "application/json");
    if (headers.length > 0) request.headers(headers);
    var answer = client.send(request.build(), BodyHandlers.ofString());
    System.out.println(answer.statusCode());
    return answer.headers().firstValue("ETag").orElse("");
  }

  public static void main(String[] arguments) throws Exception {
    var none = BodyPublishers.noBody();
    var step = "{\"gradients\":{\"w\":[1,2]}}";
    ask("GET", "/healthz", none);
    ask("POST", "/v1/runs", BodyPublishers.ofString("{\"id\":\"client\",\"optimizer\":\"SGD\",\"variables\":[{\"name\":\"w\",\"shape\":[2]}]}"));
    String tag = "";
    for (int count = 0; count < 5; count++) tag = ask("POST", "/v1/runs/client/gradients", BodyPublishers.ofString(step));
    // Of unknown length: in chunks.
    ask("POST", "/v1/runs/client/gradients", BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(step.getBytes())));
    ask("POST", "/v1/runs/client/gradients", BodyPublishers.ofString("{"));
    ask("GET", "/v1/runs/client/variables", none, "If-None-Match", tag);
    ask("GET", "/v1/runs/client/variables", none, "If-None-Match", "\"v6\"");
    ask("HEAD", "/v1/runs/client", none);
    ask("DELETE", "/v1/runs/client", none);
    ask("GET", "/v1/runs/client", none);
  }
}
